package writer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// JSON publishes values of one type to one topic, each as JSON. It is what
// reader.JSON reads.
//
//	orders := writer.JSON[Order]{Writer: w, Topic: "orders"}
//	orders.Publish(order, done)
//
// Its methods are those of the Writer. Values are encoded before they return,
// so they may be changed then. One that cannot be encoded ends in ErrEncoding,
// which is Rejected.
type JSON[T any] struct {
	Writer *Writer
	Topic  string
}

// Publish is Writer.Publish.
func (j JSON[T]) Publish(value T, done func(Result)) {
	p := j.one(value)
	p.done = done
	j.Writer.put(&p)
}

// PublishSync is Writer.PublishSync.
func (j JSON[T]) PublishSync(ctx context.Context, value T) error {
	p := j.one(value)
	return j.Writer.publishSync(ctx, &p)
}

// DeferredPublish is Writer.DeferredPublish.
func (j JSON[T]) DeferredPublish(delay time.Duration, value T, done func(Result)) {
	p := j.later(delay, value)
	p.done = done
	j.Writer.put(&p)
}

// DeferredPublishSync is Writer.DeferredPublishSync.
func (j JSON[T]) DeferredPublishSync(ctx context.Context, delay time.Duration, value T) error {
	p := j.later(delay, value)
	return j.Writer.publishSync(ctx, &p)
}

// MultiPublish is Writer.MultiPublish.
func (j JSON[T]) MultiPublish(values []T, done func(Result)) {
	p := j.several(values)
	p.done = done
	j.Writer.put(&p)
}

// MultiPublishSync is Writer.MultiPublishSync.
func (j JSON[T]) MultiPublishSync(ctx context.Context, values []T) error {
	p := j.several(values)
	return j.Writer.publishSync(ctx, &p)
}

// one is the publish of a value. An error in the publish is its end.
func (j JSON[T]) one(value T) publish {
	body, err := j.encode(value)
	if err == nil {
		err = j.Writer.checkBody(body)
	}
	return publish{topic: j.Topic, body: body, size: len(body), err: err}
}

func (j JSON[T]) later(delay time.Duration, value T) publish {
	body, err := j.encode(value)
	if err == nil {
		err = j.Writer.checkDeferred(delay, body)
	}
	return publish{kind: kindDPub, topic: j.Topic, delay: delay, body: body, size: len(body), err: err}
}

func (j JSON[T]) several(values []T) publish {
	p := publish{kind: kindMPub, topic: j.Topic}
	for _, value := range values {
		body, err := j.encode(value)
		if err != nil {
			p.err = err
			return p
		}
		p.bodies = append(p.bodies, body)
	}
	p.size, p.err = totalSize(p.bodies), j.Writer.checkBodies(p.bodies)
	return p
}

func (j JSON[T]) encode(value T) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("publish to topic %s: %w: %w", j.Topic, ErrEncoding, err)
	}
	return body, nil
}
