// Package lookup knows who produces which topic: the registrations of
// nsqlookupd, in memory. It is pure. It knows neither sockets nor HTTP nor the
// clock: the time comes in as an argument.
//
// A producer is one connection of an nsqd. It registers topics and channels of
// topics. When it goes it is in none of them any more, but the topics and
// channels stay known, with fewer producers or none, until they are deleted.
// So a consumer that asks for a topic whose nsqd is being restarted is told
// that nobody has it now, and not that it does not exist.
//
// A producer that has not been heard of for a while is not shown, though it
// keeps its registrations; a tombstone hides a producer of one topic on
// purpose, for a while. Both are matters of the time at which one asks.
package lookup
