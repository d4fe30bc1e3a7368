// Package offline does what can be done with a data path while no server has
// it: [Verify] looks at it and changes nothing, [Repair] makes of it what a
// start would make and passes over what is damaged, [Export] writes its messages
// as lines, [Import] makes one of what nsqd has left or of such lines.
//
// All of them take the data path's lock, and end early when their context does.
package offline
