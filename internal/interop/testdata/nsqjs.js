// Publishes and consumes with nsqjs what the first line of the standard input
// says, until that ends, and says on the standard output, a line for each, what
// was accepted and what came. nsqjs_test.go writes the one and reads the other.
const {createHash} = require('crypto')
const {Reader, Writer} = require('nsqjs')

const say = (...words) => console.log(words.join(' '))
const fail = (err) => {
  console.error(err)
  process.exit(1)
}

// The first body goes alone, the second one later, the others together.
const publish = (writer, topic, bodies, done) => {
  const accepted = (next) => (err) => {
    if (err) fail(err)
    say('accepted')
    next()
  }
  writer.publish(topic, bodies[0], accepted(() =>
    writer.deferPublish(topic, [bodies[1]], 50, accepted(() =>
      writer.publish(topic, bodies.slice(2), accepted(done))))))
}

// The first body is requeued once; all are touched and finished.
const consume = (reader, bodies) => {
  reader.on('error', fail)
  reader.on('message', (m) => {
    say('received', m.attempts, createHash('sha256').update(m.body).digest('hex'))
    if (m.attempts === 1 && m.body.equals(bodies[0])) {
      m.requeue(0, false)
      return
    }
    m.touch()
    m.finish()
  })
  reader.connect()
}

const input = require('readline').createInterface({input: process.stdin})
input.once('line', (line) => {
  const {tcp, topic, options, found, bodies: encoded} = JSON.parse(line)
  const bodies = encoded.map((b) => Buffer.from(b, 'base64'))
  for (const name of ['ca', 'cert', 'key']) {
    if (options[name]) options[name] = Buffer.from(options[name])
  }
  const [host, port] = tcp.split(':')
  const writer = new Writer(host, Number(port), options)
  const reader = new Reader(topic, 'c', {...options, ...found, maxInFlight: 10})
  writer.on('error', fail)
  writer.on('ready', () => publish(writer, topic, bodies, () => consume(reader, bodies)))
  writer.on('closed', () => process.exit(0))
  reader.on('nsqd_closed', () => writer.close())
  input.on('close', () => reader.close())
  writer.connect()
})
