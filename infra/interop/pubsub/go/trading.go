package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What a topic keeps, so that it can be read from the beginning.
const retention = time.Hour

func publish(ctx context.Context, client *pubsub.Client, topic, folder string, seed uint64) error {
	made := makeEvents(seed)
	start := time.Now()
	_, err := client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{
		Name:                     topicName(topic),
		MessageRetentionDuration: durationpb.New(retention),
	})
	if err != nil {
		return err
	}
	publisher := client.Publisher(topic)
	publisher.EnableMessageOrdering = true
	var results []*pubsub.PublishResult
	for _, event := range made {
		results = append(results, publisher.Publish(ctx, &pubsub.Message{
			OrderingKey: event.key, Data: event.body, Attributes: event.attributes(),
		}))
	}
	for _, result := range results {
		if _, err := result.Get(ctx); err != nil {
			return err
		}
	}
	publisher.Stop()
	fmt.Printf("Go sent %d events, %.1f s (seed %d)\n", len(made), time.Since(start).Seconds(), seed)
	return withSubscription(ctx, client, topic, "publish", false, func(name string) error {
		found, err := readAll(ctx, client, name, len(made))
		if err != nil {
			return err
		}
		times, err := compare(made, all(made), found)
		if err != nil {
			return err
		}
		return writeFiles(folder, sent{made, times})
	})
}

func read(ctx context.Context, client *pubsub.Client, topic string, sent sent) error {
	return withSubscription(ctx, client, topic, "read", false, func(name string) error {
		start := time.Now()
		found, err := readAll(ctx, client, name, len(sent.events))
		if err != nil {
			return err
		}
		took := time.Since(start)
		times, err := compare(sent.events, all(sent.events), found)
		if err != nil {
			return err
		}
		keys := map[string]bool{}
		for n, event := range sent.events {
			if !times[n].Equal(sent.times[n]) {
				return fmt.Errorf("published at %v and not at %v: %v", times[n], sent.times[n], event)
			}
			if event.key != "" {
				keys[event.key] = true
			}
		}
		fmt.Printf("Go read %d events of %d keys, all as they were sent, %.1f s\n", len(found), len(keys), took.Seconds())
		return nil
	})
}

// To two thirds of the topic, back to its first event, to its last one, and behind that.
func seek(ctx context.Context, client *pubsub.Client, topic string, sent sent) error {
	known := slices.SortedFunc(slices.Values(sent.times), time.Time.Compare)
	last := known[len(known)-1]
	return withSubscription(ctx, client, topic, "seek", false, func(name string) error {
		for _, at := range []time.Time{known[len(known)*2/3], known[0], last, last.Add(time.Microsecond)} {
			var nths []int
			for n, time := range sent.times {
				if !time.Before(at) {
					nths = append(nths, n)
				}
			}
			if err := seekTo(ctx, client, name, at); err != nil {
				return err
			}
			found, err := readAll(ctx, client, name, len(nths))
			if err != nil {
				return err
			}
			if _, err := compare(sent.events, nths, found); err != nil {
				return err
			}
			fmt.Printf("Go sought %d, and %d events came\n", at.UnixMicro(), len(nths))
		}
		return nil
	})
}

func nack(ctx context.Context, client *pubsub.Client, topic string, sent sent) error {
	again := newAgain(sent.events)
	return withSubscription(ctx, client, topic, "nack", false, func(name string) error {
		err := receive(ctx, client, name, func(message *pubsub.Message) (bool, error) {
			toNack, err := again.take(newEvent(message.OrderingKey, message.Data, message.Attributes), message.ID)
			if err != nil {
				return false, err
			}
			if toNack {
				message.Nack()
			} else {
				message.Ack()
			}
			return again.isOver(), nil
		})
		if err != nil {
			return err
		}
		if err := checkNothingLeft(ctx, client, name); err != nil {
			return err
		}
		fmt.Printf("Go nacked %d of %d events: %d deliveries, in order from there on\n",
			again.nacked, len(sent.events), again.deliveries)
		return nil
	})
}

func all(events []event) []int {
	nths := make([]int, len(events))
	for n := range nths {
		nths[n] = n
	}
	return nths
}
