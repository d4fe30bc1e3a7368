// Package client is one connection to one nsqd: dialling, introducing itself,
// answering heartbeats, noticing silence, turning frames into events and calls
// into commands. Packages reader and writer are made of such connections;
// programs rarely need one themselves, but they meet this package's Options
// and errors.
//
// [Dial] starts a [Conn] on a loop and returns at once. The Conn tells its
// [Handler] when it is ready, what arrives, and, exactly once, that it is
// closed and why. A Conn is used once: to connect again, dial again.
//
// A connection lives through five states:
//
//	StateDialing      the name is resolved and the peer is dialled
//	StateIdentifying  the socket is open, IDENTIFY is sent, its answer awaited
//	StateReady        commands may be given
//	StateClosing      CLS is sent: no new messages, answers still count
//	StateClosed       over; the handler's OnClose has run or is about to
//
// Everything in a Conn and all of its Handler's methods run on the loop, one
// at a time. Commands are encoded straight into the connection's output, which
// the loop sends once at the end of its turn. Neither a command nor a frame
// received allocates.
//
// [Options] say what a connection asks for, whom it dials and through what
// ([Options.Rewrite], [Options.DialContext]), and who hears of each step
// ([Options.OnEvent]). They can also be set by the names that NSQ's other clients
// use ([Options.Set]), by a URL ([ParseURL]) and by the environment ([FromEnv]).
//
// The package also holds what readers and writers share: the errors that nsqd
// answers with ([Error] and a variable for each code), and the checks of names,
// sizes and delays that nsqd would make ([CheckTopic] and its sisters).
package client
