package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/grpc/codes"
)

const (
	invalid   = "PERMANENT_FAILURE_INVALID_ACK_ID"
	unordered = "TRANSIENT_FAILURE_UNORDERED_ACK_ID"
)

// Acks that are confirmed, and those that can't be.
func exactlyOnce(ctx context.Context, client *pubsub.Client, topic string, sent sent) error {
	err := withSubscription(ctx, client, topic, "exactly-once", true, func(name string) error {
		return confirmed(ctx, client, name, sent.events)
	})
	if err != nil {
		return err
	}
	err = withSubscription(ctx, client, topic, "failures", true, func(name string) error {
		return failures(ctx, client, name)
	})
	if err != nil {
		return err
	}
	return withSubscription(ctx, client, topic, "void", true, func(name string) error {
		return void(ctx, client, name)
	})
}

func confirmed(ctx context.Context, client *pubsub.Client, name string, expected []event) error {
	left := newLeft(expected, all(expected))
	var acks []*pubsub.AckResult
	err := receive(ctx, client, name, func(message *pubsub.Message) (bool, error) {
		event := newEvent(message.OrderingKey, message.Data, message.Attributes)
		if _, err := left.take(event, "message "+message.ID); err != nil {
			return false, err
		}
		acks = append(acks, message.AckWithResult())
		return left.count == 0, nil
	})
	if err != nil {
		return err
	}
	for _, ack := range acks {
		if status, err := result(ctx, ack); err != nil || status != pubsub.AcknowledgeStatusSuccess {
			return fmt.Errorf("an ack is %d: %v", status, err)
		}
	}
	if err := checkNothingLeft(ctx, client, name); err != nil {
		return err
	}
	fmt.Printf("Go read %d events exactly once, each ack confirmed\n", len(acks))
	return nil
}

func result(ctx context.Context, ack *pubsub.AckResult) (pubsub.AcknowledgeStatus, error) {
	ctx, stop := context.WithTimeout(ctx, deadline)
	defer stop()
	return ack.Get(ctx)
}

// By single requests: out of order, twice, after a nack.
func failures(ctx context.Context, client *pubsub.Client, name string) error {
	first, second, err := twoOfAKey(ctx, client, name)
	if err != nil {
		return err
	}
	ack := func(id string) error {
		return client.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: name, AckIds: []string{id}})
	}
	nack := func(id string) error {
		return client.SubscriptionAdminClient.ModifyAckDeadline(ctx,
			&pubsubpb.ModifyAckDeadlineRequest{Subscription: name, AckIds: []string{id}, AckDeadlineSeconds: 0})
	}
	for _, step := range []struct {
		what, failure, id string
		call              func(string) error
	}{
		{"an ack out of order", unordered, second, ack},
		{"an ack", "", first, ack},
		{"an ack twice", invalid, first, ack},
		{"a nack", "", second, nack},
		{"a second nack", invalid, second, nack},
		{"an ack after a nack", invalid, second, ack},
	} {
		err := step.call(step.id)
		if step.failure == "" {
			if err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
			continue
		}
		var refusal *apierror.APIError
		if !errors.As(err, &refusal) || refusal.GRPCStatus().Code() != codes.FailedPrecondition ||
			refusal.Reason() != "EXACTLY_ONCE_ACKID_FAILURE" ||
			!maps.Equal(refusal.Metadata(), map[string]string{step.id: step.failure}) {
			return fmt.Errorf("%s: not refused, or otherwise: %w", step.what, err)
		}
		fmt.Printf("Go was refused %s: %s\n", step.what, step.failure)
	}
	return nil
}

// The ack ids of the first two of a key, delivered and not acknowledged.
func twoOfAKey(ctx context.Context, client *pubsub.Client, name string) (string, string, error) {
	firsts := map[string]string{}
	for {
		pulled, err := client.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: name, MaxMessages: 1_000})
		if err != nil {
			return "", "", err
		}
		if len(pulled.ReceivedMessages) == 0 {
			return "", "", errors.New("no two events of a key came")
		}
		for _, received := range pulled.ReceivedMessages {
			key := received.Message.OrderingKey
			if first := firsts[key]; key != "" && first != "" {
				return first, received.AckId, nil
			}
			firsts[key] = received.AckId
		}
	}
}

// The client's own word for an ack that a seek has made void.
func void(ctx context.Context, client *pubsub.Client, name string) error {
	var ack *pubsub.AckResult
	err := receive(ctx, client, name, func(message *pubsub.Message) (bool, error) {
		if err := seekTo(ctx, client, name, time.Now().Add(24*time.Hour)); err != nil {
			return false, err
		}
		ack = message.AckWithResult()
		return true, nil
	})
	if err != nil {
		return err
	}
	if status, err := result(ctx, ack); status != pubsub.AcknowledgeStatusInvalidAckID {
		return fmt.Errorf("an ack after a seek: not refused, or otherwise: %d, %w", status, err)
	}
	fmt.Println("Go was refused an ack after a seek: AcknowledgeStatusInvalidAckID")
	return nil
}
