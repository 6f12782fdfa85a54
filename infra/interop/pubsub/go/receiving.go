package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// How many messages the client has at most that it has not acknowledged. It sends more than 1,000 acks at a time as several
// requests side by side, in no order; those of a key that come before its earlier ones don't hold. Where nacks make deliveries
// void, it has acks for as many again.
const outstanding = 400

func topicName(topic string) string {
	return fmt.Sprintf("projects/%s/topics/%s", project, topic)
}

func subscriptionName(subscription string) string {
	return fmt.Sprintf("projects/%s/subscriptions/%s", project, subscription)
}

// Has `use` a new subscription to all that the topic keeps; it is deleted in the end.
func withSubscription(ctx context.Context, client *pubsub.Client, topic, what string, exactlyOnce bool, use func(name string) error) error {
	name := subscriptionName(topic + "-go-" + what)
	_, err := client.SubscriptionAdminClient.CreateSubscription(ctx, &pubsubpb.Subscription{
		Name:                      name,
		Topic:                     topicName(topic),
		EnableMessageOrdering:     true,
		EnableExactlyOnceDelivery: exactlyOnce,
	})
	if err != nil {
		return err
	}
	if err := seekTo(ctx, client, name, time.Unix(0, 0)); err != nil {
		return err
	}
	if err := use(name); err != nil {
		return err
	}
	return client.SubscriptionAdminClient.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: name})
}

func seekTo(ctx context.Context, client *pubsub.Client, name string, at time.Time) error {
	target := &pubsubpb.SeekRequest_Time{Time: timestamppb.New(at)}
	_, err := client.SubscriptionAdminClient.Seek(ctx, &pubsubpb.SeekRequest{Subscription: name, Target: target})
	return err
}

// Gives each message to `take`, which acknowledges it and says whether that was the last one.
func receive(ctx context.Context, client *pubsub.Client, name string, take func(*pubsub.Message) (bool, error)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var lock sync.Mutex
	var failure error
	over, came := false, 0
	late := time.AfterFunc(deadline, func() {
		lock.Lock()
		defer lock.Unlock()
		over, failure = true, fmt.Errorf("nothing comes any more after %d messages", came)
		stop()
	})
	defer late.Stop()
	subscriber := client.Subscriber(name)
	subscriber.ReceiveSettings.MaxOutstandingMessages = outstanding
	err := subscriber.Receive(ctx, func(_ context.Context, message *pubsub.Message) {
		lock.Lock()
		defer lock.Unlock()
		if over {
			message.Nack()
			return
		}
		came++
		late.Reset(deadline)
		last, err := take(message)
		if err != nil {
			// Receive does not end before each message is done with; one that is, stays as it is.
			message.Nack()
			failure = err
		}
		if last || err != nil {
			over = true
			late.Stop()
			stop()
		}
	})
	lock.Lock()
	defer lock.Unlock()
	if failure != nil {
		return failure
	}
	return err
}

// An event that was read, and when it was published.
type found struct {
	event event
	time  time.Time
}

// So many messages, all acknowledged, in the order in which they came.
func readAll(ctx context.Context, client *pubsub.Client, name string, count int) ([]found, error) {
	var all []found
	if count > 0 {
		err := receive(ctx, client, name, func(message *pubsub.Message) (bool, error) {
			all = append(all, found{newEvent(message.OrderingKey, message.Data, message.Attributes), message.PublishTime})
			message.Ack()
			return len(all) == count, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, checkNothingLeft(ctx, client, name)
}

// Nothing is unacknowledged: a snapshot has what is outstanding too, and a seek to it makes that come again.
func checkNothingLeft(ctx context.Context, client *pubsub.Client, name string) error {
	admin := client.SubscriptionAdminClient
	snapshot := strings.Replace(name, "/subscriptions/", "/snapshots/", 1)
	if _, err := admin.CreateSnapshot(ctx, &pubsubpb.CreateSnapshotRequest{Name: snapshot, Subscription: name}); err != nil {
		return err
	}
	target := &pubsubpb.SeekRequest_Snapshot{Snapshot: snapshot}
	if _, err := admin.Seek(ctx, &pubsubpb.SeekRequest{Subscription: name, Target: target}); err != nil {
		return err
	}
	if err := admin.DeleteSnapshot(ctx, &pubsubpb.DeleteSnapshotRequest{Snapshot: snapshot}); err != nil {
		return err
	}
	pulled, err := admin.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: 10})
	if err != nil {
		return err
	}
	for _, received := range pulled.ReceivedMessages {
		message := received.Message
		return fmt.Errorf("not acknowledged, or more than there should be: %v",
			newEvent(message.OrderingKey, message.Data, message.Attributes))
	}
	return nil
}
