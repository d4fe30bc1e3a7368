module github.com/nsqloop/nsqloop/internal/interop

go 1.26.0

require (
	github.com/nsqio/go-nsq v1.1.0
	github.com/nsqloop/nsqloop v0.0.0
)

replace github.com/nsqloop/nsqloop => ../..
