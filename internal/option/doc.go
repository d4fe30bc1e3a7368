// Package option sets options by the names that NSQ's other clients give them,
// from text. It never knows which options there are: packages client, reader
// and writer each have a table of theirs. [Secret] reads what the environment
// says, or a file that it names.
package option
