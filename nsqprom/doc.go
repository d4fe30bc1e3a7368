// Package nsqprom shows Readers, Writers and loops to Prometheus.
//
//	m := nsqprom.New()
//	prometheus.MustRegister(m)
//	l, err := loop.New(loop.Options{OnCallback: m.OnCallback})
//	w, err := writer.New(l, writer.Options{NSQDs: nsqds, OnResult: m.OnResult})
//	r, err := reader.New(l, reader.Options{ ..., Handler: m.Handler("orders", "billing", handle)})
//	m.AddWriter(w)
//	m.AddReader(r)
//
// What AddReader, AddGroup and AddWriter add is read from Stats at each scrape, and costs
// nothing between two of them. The three hooks measure every message and every
// callback; a program that does not want what they give leaves them out. A Group
// is added with AddGroup, and each of its topics is shown as a Reader is.
//
//	metric                               labels           from
//	nsq_reader_messages_total            topic, channel   AddReader: messages delivered
//	nsq_reader_finished_total            topic, channel   FINs sent
//	nsq_reader_requeued_total            topic, channel   REQs sent as an answer
//	nsq_reader_given_up_total            topic, channel   delivered more than MaxAttempts times
//	nsq_reader_expired_total             topic, channel   not answered in time
//	nsq_reader_lost_total                topic, channel   answers that found their connection closed
//	nsq_reader_backoffs_total            topic, channel   pauses of backoff
//	nsq_reader_errors_total              topic, channel   reported by OnError
//	nsq_reader_in_flight                 topic, channel   delivered and not answered
//	nsq_reader_rdy                       topic, channel   ready counts, added up
//	nsq_reader_connections               topic, channel   subscribed
//	nsq_reader_handler_seconds           topic, channel   Handler: from its call to the answer (histogram)
//	nsq_writer_publishes_total           result           AddWriter: publishes that have ended
//	nsq_writer_pending                                    publishes that have not
//	nsq_writer_pending_bytes                              bytes of their bodies
//	nsq_writer_connections                                ready to publish on
//	nsq_writer_published_total           topic, result    OnResult: messages
//	nsq_writer_publish_seconds           topic            until the end of a publish (histogram)
//	nsq_loop_callback_seconds                             OnCallback: how long one held the loop (histogram)
//
// TracedHandler in place of Handler also shows traces, in the OpenMetrics format.
//
// result is one of confirmed, rejected, not_sent and unknown. Readers of one
// topic and channel are added up, and so are all Writers. None of the names is
// one of nsqd's or nsqd-lite's.
package nsqprom
