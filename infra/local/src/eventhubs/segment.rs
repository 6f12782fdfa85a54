//! Room for what a partition keeps: a few large pieces that are filled, given up from the front, and filled again. So it takes
//! the same memory however long it goes on; small pieces of many sizes would leave more and more holes between them.

use std::collections::VecDeque;

/// The size of a piece, in bytes; what is larger has a piece of its own.
const SIZE: usize = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Segments {
    all: VecDeque<Segment>,
    /// The number of the first of these.
    first: u64,
    /// One that was given up, and is filled next.
    spare: Option<Segment>,
}

#[derive(Debug, Default)]
struct Segment {
    data: Vec<u8>,
    ends: Vec<u32>,
}

/// Where a message's events are.
#[derive(Debug)]
pub(super) struct Place {
    segment: u64,
    data: (usize, usize),
    ends: (usize, usize),
}

impl Place {
    /// How many events.
    pub(super) fn len(&self) -> usize {
        self.ends.1 - self.ends.0
    }

    /// What they take.
    pub(super) fn bytes(&self) -> usize {
        self.data.1 - self.data.0 + self.len() * size_of::<u32>()
    }
}

impl Segments {
    /// Keeps a message's events, one after the other, and where each ends.
    pub(super) fn put(&mut self, data: &[u8], ends: &[u32]) -> Place {
        let last = self.all.back();
        let fits = last.is_some_and(|last| last.data.len() + data.len() <= SIZE);
        if !fits {
            let next = self.empty(data.len());
            self.all.push_back(next);
        }
        let index = self.all.len().saturating_sub(1);
        let mut place = Place {
            segment: self.first + index as u64,
            data: (0, 0),
            ends: (0, 0),
        };
        if let Some(last) = self.all.back_mut() {
            place.data = (last.data.len(), last.data.len() + data.len());
            place.ends = (last.ends.len(), last.ends.len() + ends.len());
            last.data.extend_from_slice(data);
            last.ends.extend_from_slice(ends);
        }
        place
    }

    /// One that so many bytes fit in. The first one grows with what comes: most partitions keep little.
    fn empty(&mut self, bytes: usize) -> Segment {
        if let Some(spare) = self.spare.take_if(|spare| spare.data.capacity() >= bytes) {
            return spare;
        }
        let mut segment = Segment::default();
        if !self.all.is_empty() {
            segment.data.reserve_exact(bytes.next_multiple_of(SIZE));
        }
        segment
    }

    /// The events of a message, one after the other, and where each ends.
    pub(super) fn get(&self, place: &Place) -> Option<(&[u8], &[u32])> {
        let index = usize::try_from(place.segment.checked_sub(self.first)?).ok()?;
        let segment = self.all.get(index)?;
        let data = segment.data.get(place.data.0..place.data.1)?;
        Some((data, segment.ends.get(place.ends.0..place.ends.1)?))
    }

    /// Gives up all before this place; all there is where there is none.
    pub(super) fn give_up(&mut self, before: Option<&Place>) {
        let Some(place) = before else {
            self.first += self.all.len() as u64;
            (self.all, self.spare) = (VecDeque::new(), None);
            return;
        };
        while self.first < place.segment
            && let Some(mut segment) = self.all.pop_front()
        {
            self.first += 1;
            segment.data.clear();
            segment.ends.clear();
            self.spare = Some(segment);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_put_is_there_until_it_is_given_up_and_takes_no_more_room() {
        let mut segments = Segments::default();
        let mut places = VecDeque::new();
        let mut most = 0;
        for nth in 0..10_000_u32 {
            let data = vec![nth.to_be_bytes()[3]; 1_000 + nth as usize % 777];
            let ends = [500, u32::try_from(data.len()).unwrap()];
            places.push_back((segments.put(&data, &ends), data, ends));
            if places.len() > 2_000 {
                places.pop_front();
                segments.give_up(places.front().map(|(place, ..)| place));
            }
            let capacities = segments.all.iter().chain(&segments.spare);
            let room: usize = capacities.map(|segment| segment.data.capacity()).sum();
            most = room.max(most);
        }
        for (place, data, ends) in &places {
            assert_eq!(segments.get(place), Some((&data[..], &ends[..])));
            assert_eq!((place.len(), place.bytes()), (2, data.len() + 8));
        }
        // 2,000 of 1,388 bytes each on average, and two pieces that are not full.
        assert!(most < 5 * SIZE, "{most}");
        let (old, ..) = places.pop_front().unwrap();
        segments.give_up(None);
        assert_eq!(segments.get(&old), None);
        assert!(segments.all.is_empty() && segments.spare.is_none());
    }

    #[test]
    fn what_is_larger_than_a_piece_has_one_of_its_own() {
        let mut segments = Segments::default();
        let large = vec![1; SIZE + 1];
        let (first, second) = (segments.put(b"a", &[1]), segments.put(&large, &[9]));
        let third = segments.put(b"b", &[1]);
        assert_eq!(segments.get(&second).unwrap().0, large);
        segments.give_up(Some(&third));
        assert_eq!(segments.get(&first), None);
        assert_eq!(segments.get(&third).unwrap().0, b"b");
    }
}
