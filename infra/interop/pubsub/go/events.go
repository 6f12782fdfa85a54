package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	count = 10_000
	// What a request may take at most is 10 MB; the topic, the key and the attributes take some of it.
	largest = 10_000_000 - 1_000
)

// An event as a reader of anyhub's sees it; without a key it is empty.
type event struct {
	key        string
	body       []byte
	attributes map[string]string
}

// What was sent: each event, and when it was published.
type sent struct {
	events []event
	times  []time.Time
}

func (e event) equals(other event) bool {
	return e.key == other.key && bytes.Equal(e.body, other.body) && maps.Equal(e.attributes, other.attributes)
}

func (e event) String() string {
	text := fmt.Sprintf("key %q, %d bytes %q, attributes %q", e.key, len(e.body), e.body[:min(len(e.body), 20)], e.attributes)
	return text[:min(len(text), 600)]
}

// Events of the same are in order; one without a key is alone, known by its number.
func (e event) whose() string {
	if e.key != "" {
		return "key " + e.key
	}
	return "alone " + e.attributes["n"]
}

// 10,000 events; those of a key come in runs, as they are sent.
func makeEvents(seed uint64) []event {
	chance := rand.New(rand.NewPCG(seed, 0))
	made := []event{{key: "largest", body: randomBytes(chance, largest)}}
	for len(made) < count {
		key := keyOf(chance)
		if chance.IntN(20) == 0 {
			key = ""
		}
		run := []int{1, 2 + chance.IntN(8), 2 + chance.IntN(78)}[chance.IntN(3)]
		for range min(run, count-len(made)) {
			made = append(made, makeEvent(chance, key, len(made)))
		}
	}
	return made
}

func makeEvent(chance *rand.Rand, key string, nth int) event {
	made := event{key: key, body: randomBytes(chance, sizeOf(chance)), attributes: attributesOf(chance, key, nth)}
	if len(made.body)+len(made.attributes) == 0 {
		// Nothing at all is refused.
		made.body = []byte("0")
	}
	return made
}

func keyOf(chance *rand.Rand) string {
	nth := chance.IntN(400)
	length := 1 + nth%128
	return []string{
		fmt.Sprintf("user-%d", nth),
		fmt.Sprintf("ключ-%d", nth),
		strings.Repeat("💡", length),
		strings.Repeat("k", length),
		// The same letter, composed and not: two keys.
		fmt.Sprintf("\u00e9-%d", nth/16),
		fmt.Sprintf("e\u0301-%d", nth/16),
		fmt.Sprintf("\"מפתח\"\n%d", nth),
		strconv.Itoa(nth),
	}[nth%8]
}

// Mostly short, some of 200 KB.
func sizeOf(chance *rand.Rand) int {
	most := 200
	switch kind := chance.IntN(500); {
	case kind == 0:
		most = 200_000
	case kind < 20:
		most = 20_000
	case kind < 140:
		most = 2_000
	}
	return chance.IntN(most + 1)
}

func attributesOf(chance *rand.Rand, key string, nth int) map[string]string {
	// One without a key is known by its number.
	if key != "" && chance.IntN(5) == 0 {
		return nil
	}
	attributes := map[string]string{"n": strconv.Itoa(nth)}
	if nth%1_000 == 0 {
		for name := range 99 {
			attributes[strconv.Itoa(name)] = "one of 99"
		}
		return attributes
	}
	others := map[string]string{
		"text":                   []string{"", "en", "grüße", "a\nb", "true", "-7"}[chance.IntN(6)],
		"имя":                    "значение",
		"empty":                  "",
		"longest":                strings.Repeat("💡", 256),
		strings.Repeat("n", 256): "of the longest name",
		"a name with spaces":     "7",
	}
	names := slices.Sorted(maps.Keys(others))
	for _, n := range chance.Perm(len(names))[:chance.IntN(len(names)+1)] {
		attributes[names[n]] = others[names[n]]
	}
	return attributes
}

func randomBytes(chance *rand.Rand, size int) []byte {
	random := make([]byte, size)
	for n := range random {
		random[n] = byte(chance.Uint32())
	}
	return random
}
