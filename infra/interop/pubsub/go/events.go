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
	key     string
	body    []byte
	headers []header
}

type header struct{ name, value string }

// Attributes of anyhub's own: there is nothing else in the message; where each header stands, in the order of their names.
const (
	emptyMark = "anyhub-empty"
	orderMark = "anyhub-order"
)

// A message as an event. Attributes have no order: theirs is by name, if none is told.
func newEvent(key string, body []byte, attributes map[string]string) event {
	made := event{key: key, body: body}
	if _, empty := attributes[emptyMark]; empty && len(body) == 0 && len(attributes) == 1 {
		return made
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if name != orderMark {
			made.headers = append(made.headers, header{name, attributes[name]})
		}
	}
	if order, told := attributes[orderMark]; told {
		made.headers = inOrder(made.headers, strings.Split(order, ","))
	}
	return made
}

// Where the order makes no sense, no event has these headers.
func inOrder(headers []header, places []string) []header {
	ordered := make([]header, len(headers))
	for n, text := range places {
		place, err := strconv.Atoi(text)
		if err != nil || n >= len(headers) || place < 0 || place >= len(headers) || ordered[place].name != "" {
			return []header{{orderMark, strings.Join(places, ",")}}
		}
		ordered[place] = headers[n]
	}
	return ordered
}

func (e event) attributes() map[string]string {
	attributes := map[string]string{}
	for _, header := range e.headers {
		attributes[header.name] = header.value
	}
	return attributes
}

// What was sent: each event, and when it was published.
type sent struct {
	events []event
	times  []time.Time
}

func (e event) equals(other event) bool {
	return e.key == other.key && bytes.Equal(e.body, other.body) && slices.Equal(e.headers, other.headers)
}

func (e event) String() string {
	text := fmt.Sprintf("key %q, %d bytes %q, headers %q", e.key, len(e.body), e.body[:min(len(e.body), 20)], e.headers)
	return text[:min(len(text), 600)]
}

// Events of the same are in order; one without a key is alone, known by its number.
func (e event) whose() string {
	if e.key != "" {
		return "key " + e.key
	}
	return "alone " + e.attributes()["n"]
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
	body, attributes := randomBytes(chance, sizeOf(chance)), attributesOf(chance, key, nth)
	if len(body)+len(attributes) == 0 {
		// Nothing at all is refused.
		body = []byte("0")
	}
	return newEvent(key, body, attributes)
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
