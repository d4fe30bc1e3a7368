// Package diskqueue reads the queue files that nsqd leaves in its data path.
// It writes nothing.
//
// Of each topic and each channel there can be a queue, in files that are
// numbered, and a small file that says how far it has been read and written:
//
//	orders.diskqueue.meta.dat             depth, read position, write position
//	orders.diskqueue.000007.dat           records
//	orders:billing.diskqueue.000002.dat   those of the channel billing
//	orders.diskqueue.000003.dat.bad       what nsqd itself could not read
//
// On Windows ';' stands for ':'. A record is, big-endian:
//
//	 0        4                12         14              30
//	+--------+----------------+----------+---------------+------
//	| length | timestamp      | attempts | id, 16 digits | body
//	+--------+----------------+----------+---------------+------
//
// It has no checksum. What nsqd gives up at, a length that cannot be, costs a
// whole file there; here the next record is looked for, which the digits of its
// id give away.
package diskqueue
