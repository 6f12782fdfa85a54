package main

import (
	"fmt"
	"time"
)

// One of so many is nacked.
const nacked = 50

// What has not come yet: of each key the rest, in the order in which it was sent.
type left struct {
	expected []event
	left     map[string][]int
	count    int
}

func newLeft(expected []event, nths []int) *left {
	rest := left{expected, map[string][]int{}, len(nths)}
	for _, n := range nths {
		whose := expected[n].whose()
		rest.left[whose] = append(rest.left[whose], n)
	}
	return &rest
}

// Which one it is; an error where it is not the next one of its key.
func (l *left) take(event event, at string) (int, error) {
	own := l.left[event.whose()]
	if len(own) == 0 {
		return 0, fmt.Errorf("%s: not sent, or sent once only: %v", at, event)
	}
	n := own[0]
	if !event.equals(l.expected[n]) {
		return 0, fmt.Errorf("%s: differs\n  found    %v\n  expected %v", at, event, l.expected[n])
	}
	l.left[event.whose()] = own[1:]
	l.count--
	return n, nil
}

// When each was published; an error at the first that is not as it should be: all of `nths`, and no others.
func compare(expected []event, nths []int, all []found) ([]time.Time, error) {
	left, times := newLeft(expected, nths), make([]time.Time, len(expected))
	for place, found := range all {
		n, err := left.take(found.event, fmt.Sprintf("event %d", place))
		if err != nil {
			return nil, err
		}
		times[n] = found.time
	}
	if left.count > 0 {
		return nil, fmt.Errorf("%d of %d events are missing", left.count, len(nths))
	}
	return times, nil
}

// Which event each delivery is, where some are nacked at their first. Of a key they come in order, or from a nacked one on
// again; one without a key comes again if it was nacked.
type again struct {
	left *left
	// How many are to be nacked, and how many of those have not come again.
	nacked, open int
	// Of each event: its place in its key, and how often it came. Of each key: how many there are, where the last one was.
	place, times []int
	length, last map[string]int
	// By the id of a message.
	known      map[string]int
	deliveries int
}

func newAgain(expected []event) *again {
	a := &again{
		left:   newLeft(expected, all(expected)),
		place:  make([]int, len(expected)),
		times:  make([]int, len(expected)),
		length: map[string]int{},
		last:   map[string]int{},
		known:  map[string]int{},
	}
	for n, event := range expected {
		whose := event.whose()
		a.place[n] = a.length[whose]
		a.length[whose]++
		a.last[whose] = -1
		if isNacked(n) {
			a.nacked++
		}
	}
	a.open = a.nacked
	return a
}

func isNacked(n int) bool { return n%nacked == 0 }

// Whether it is to be nacked.
func (a *again) take(event event, id string) (bool, error) {
	a.deliveries++
	n, known := a.known[id]
	if !known {
		var err error
		if n, err = a.left.take(event, "message "+id); err != nil {
			return false, err
		}
		a.known[id] = n
	} else if !event.equals(a.left.expected[n]) {
		return false, fmt.Errorf("message %s: differs the second time: %v", id, event)
	}
	a.times[n]++
	if isNacked(n) && a.times[n] == 2 {
		a.open--
	}
	whose := event.whose()
	place, last := a.place[n], a.last[whose]
	if place != last+1 && (place > last || !isNacked(n)) {
		return false, fmt.Errorf("message %s: is event %d of its key, and came after event %d: %v", id, place, last, event)
	}
	a.last[whose] = place
	return !known && isNacked(n), nil
}

// True once each has come, the nacked ones twice, and each key has got to its end again.
func (a *again) isOver() bool {
	if a.left.count > 0 || a.open > 0 {
		return false
	}
	for whose, length := range a.length {
		if a.last[whose] != length-1 {
			return false
		}
	}
	return true
}
