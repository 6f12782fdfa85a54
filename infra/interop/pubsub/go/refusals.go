package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// Nothing is there of elsewhere and nowhere.
const (
	here      = "refusals-go"
	elsewhere = "elsewhere"
	nowhere   = "nowhere"
)

// What can't be had: how it is refused, and in which words. OK stands for an error of the client's own.
type refusal struct {
	what string
	code codes.Code
	says string
	call func() error
}

// Each is refused in its own words and at once: the client's deadlines are 60 s.
func refusals(ctx context.Context, client *pubsub.Client) error {
	topic := &pubsubpb.Topic{Name: topicName(here)}
	if _, err := client.TopicAdminClient.CreateTopic(ctx, topic); err != nil {
		return err
	}
	subscription := &pubsubpb.Subscription{Name: subscriptionName(here), Topic: topic.Name, EnableMessageOrdering: true}
	if _, err := client.SubscriptionAdminClient.CreateSubscription(ctx, subscription); err != nil {
		return err
	}
	publisher := client.Publisher(here)
	publisher.EnableMessageOrdering = true
	defer publisher.Stop()
	cases := append(publishes(ctx, client, publisher), makes(ctx, client)...)
	cases = append(cases, reads(ctx, client)...)
	for _, refusal := range cases {
		if err := refusal.check(); err != nil {
			return fmt.Errorf("%s: %w", refusal.what, err)
		}
	}
	if err := goesOn(ctx, client, publisher); err != nil {
		return err
	}
	fmt.Printf("Go: %d refusals, and it goes on\n", len(cases))
	return nil
}

func (r refusal) check() error {
	start := time.Now()
	err := r.call()
	took := time.Since(start)
	if err == nil {
		return errors.New("not refused")
	}
	code := codes.OK
	if answer, ok := status.FromError(err); ok {
		code = answer.Code()
	}
	if code != r.code || !strings.Contains(err.Error(), r.says) {
		return fmt.Errorf("refused otherwise: %w", err)
	}
	if took > deadline/2 {
		return fmt.Errorf("refused after %v only: %w", took, err)
	}
	word := code.String()
	if code == codes.OK {
		word = "by its own client"
	}
	fmt.Printf("Go was refused %s: %s, %d ms\n", r.what, word, took.Milliseconds())
	return nil
}

func publishes(ctx context.Context, client *pubsub.Client, publisher *pubsub.Publisher) []refusal {
	send := func(message pubsub.Message) func() error {
		return func() error {
			_, err := publisher.Publish(ctx, &message).Get(ctx)
			return err
		}
	}
	many := map[string]string{}
	for n := range 101 {
		many[strconv.Itoa(n)] = ""
	}
	with := func(name, value string) pubsub.Message {
		return pubsub.Message{Data: []byte("x"), Attributes: map[string]string{name: value}}
	}
	keyed := pubsub.Message{Data: []byte("x"), OrderingKey: strings.Repeat("k", 1_001)}
	toElsewhere := func() error {
		publisher := client.Publisher(elsewhere)
		defer publisher.Stop()
		_, err := publisher.Publish(ctx, &pubsub.Message{Data: []byte("x")}).Get(ctx)
		return err
	}
	// By the client underneath: the one above refuses it by itself.
	sendLarge := func() error {
		_, err := client.TopicAdminClient.Publish(ctx, &pubsubpb.PublishRequest{
			Topic: topicName(here), Messages: []*pubsubpb.PubsubMessage{{Data: make([]byte, 10_000_000)}},
		})
		return err
	}
	return []refusal{
		{"a topic that isn't there", codes.NotFound, "no topic", toElsewhere},
		{"an ordering key of 1,001 bytes", codes.InvalidArgument, "ordering key is too long", send(keyed)},
		{"more with that key", codes.OK, "paused due to previous error", send(keyed)},
		{"101 attributes", codes.InvalidArgument, "Too many attributes", send(pubsub.Message{Data: []byte("x"), Attributes: many})},
		{"a name of 257 bytes", codes.InvalidArgument, "attribute is too long", send(with(strings.Repeat("n", 257), ""))},
		{"a value of 1,025 bytes", codes.InvalidArgument, "attribute is too long", send(with("name", strings.Repeat("v", 1_025)))},
		{"a name that begins with goog", codes.InvalidArgument, "goog", send(with("googname", ""))},
		{"a message of nothing", codes.InvalidArgument, "neither data nor attributes", send(pubsub.Message{})},
		{"a message that is too large", codes.InvalidArgument, "payload size exceeds", sendLarge},
		{"a message that is too large", codes.OK, "item size exceeds", send(pubsub.Message{Data: make([]byte, 10_000_000)})},
	}
}

func makes(ctx context.Context, client *pubsub.Client) []refusal {
	topic := func(name string, keep time.Duration) func() error {
		return func() error {
			_, err := client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{
				Name: topicName(name), MessageRetentionDuration: durationpb.New(keep),
			})
			return err
		}
	}
	subscription := func(name string, change func(*pubsubpb.Subscription)) func() error {
		return func() error {
			told := &pubsubpb.Subscription{Name: subscriptionName(name), Topic: topicName(here)}
			change(told)
			_, err := client.SubscriptionAdminClient.CreateSubscription(ctx, told)
			return err
		}
	}
	same := func(*pubsubpb.Subscription) {}
	toElsewhere := func(s *pubsubpb.Subscription) { s.Topic = topicName(elsewhere) }
	short := func(s *pubsubpb.Subscription) { s.AckDeadlineSeconds = 5 }
	filter := func(s *pubsubpb.Subscription) { s.Filter = `attributes:"n"` }
	return []refusal{
		{"a topic that is there", codes.AlreadyExists, "exists", topic(here, retention)},
		{"a topic of a bad name", codes.InvalidArgument, "name", topic("1", retention)},
		{"a topic's retention of a minute", codes.InvalidArgument, "retention", topic(elsewhere, time.Minute)},
		{"a subscription that is there", codes.AlreadyExists, "exists", subscription(here, same)},
		{"a subscription to nothing", codes.NotFound, "no topic", subscription(nowhere, toElsewhere)},
		{"an ack deadline of 5 s", codes.InvalidArgument, "ack deadline", subscription(nowhere, short)},
		{"a filter", codes.Unimplemented, "filter", subscription(nowhere, filter)},
	}
}

func reads(ctx context.Context, client *pubsub.Client) []refusal {
	admin := client.SubscriptionAdminClient
	fromNowhere := func() error { return receive(ctx, client, subscriptionName(nowhere), nil) }
	detached := func() error {
		name := subscriptionName(here + "-detached")
		if _, err := admin.CreateSubscription(ctx, &pubsubpb.Subscription{Name: name, Topic: topicName(here)}); err != nil {
			return err
		}
		detach := &pubsubpb.DetachSubscriptionRequest{Subscription: name}
		if _, err := client.TopicAdminClient.DetachSubscription(ctx, detach); err != nil {
			return err
		}
		return receive(ctx, client, name, nil)
	}
	ordering := func() error {
		_, err := admin.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{
			Subscription: &pubsubpb.Subscription{Name: subscriptionName(here)},
			UpdateMask:   &fieldmaskpb.FieldMask{Paths: []string{"enable_message_ordering"}},
		})
		return err
	}
	ack := func() error {
		return admin.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: subscriptionName(here), AckIds: []string{"none"}})
	}
	snapshot := func() error {
		target := &pubsubpb.SeekRequest_Snapshot{Snapshot: "projects/" + project + "/snapshots/none"}
		_, err := admin.Seek(ctx, &pubsubpb.SeekRequest{Subscription: subscriptionName(here), Target: target})
		return err
	}
	return []refusal{
		{"a subscription that isn't there", codes.NotFound, "no subscription", fromNowhere},
		{"a subscription that is detached", codes.FailedPrecondition, "detached", detached},
		{"a subscription without its order", codes.InvalidArgument, "enable_message_ordering", ordering},
		{"an ack id that is none", codes.InvalidArgument, "invalid ack ID", ack},
		{"a snapshot that isn't there", codes.NotFound, "no snapshot", snapshot},
	}
}

// A key that was refused is sent again once it is resumed, and nothing that was refused is there.
func goesOn(ctx context.Context, client *pubsub.Client, publisher *pubsub.Publisher) error {
	key := strings.Repeat("k", 1_000)
	publisher.ResumePublish(key + "k")
	if _, err := publisher.Publish(ctx, &pubsub.Message{Data: []byte("good"), OrderingKey: key}).Get(ctx); err != nil {
		return err
	}
	good := event{key: key, body: []byte("good")}
	err := receive(ctx, client, subscriptionName(here), func(message *pubsub.Message) (bool, error) {
		message.Ack()
		if found := newEvent(message.OrderingKey, message.Data, message.Attributes); !found.equals(good) {
			return false, fmt.Errorf("something that was refused is there: %v", found)
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return checkNothingLeft(ctx, client, subscriptionName(here))
}
