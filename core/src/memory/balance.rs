/// Shares partitions among members: nobody has two more than another, and as few as possible move.
///
/// `owners` has the present owner of each partition; the answer has the owner to be.
pub(super) fn balance(owners: &[Option<u64>], members: &[u64]) -> Vec<Option<u64>> {
    if members.is_empty() {
        return vec![None; owners.len()];
    }
    let held = |member: u64| {
        owners
            .iter()
            .filter(|owner| **owner == Some(member))
            .count()
    };
    let mut quotas: Vec<(u64, usize)> = members
        .iter()
        .map(|&member| (member, held(member)))
        .collect();
    // The larger shares go to those who hold most.
    quotas.sort_by_key(|&(_, held)| std::cmp::Reverse(held));
    let (each, rest) = (owners.len() / members.len(), owners.len() % members.len());
    for (nth, quota) in quotas.iter_mut().enumerate() {
        quota.1 = each + usize::from(nth < rest);
    }
    let mut targets: Vec<Option<u64>> = owners
        .iter()
        .map(|owner| {
            let quota = quotas
                .iter_mut()
                .find(|(member, _)| Some(*member) == *owner)?;
            quota.1 = quota.1.checked_sub(1)?;
            *owner
        })
        .collect();
    let mut short = quotas
        .into_iter()
        .flat_map(|(member, quota)| std::iter::repeat_n(member, quota));
    for target in targets.iter_mut().filter(|target| target.is_none()) {
        *target = short.next();
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::balance;
    use proptest::prelude::*;

    #[test]
    fn moves_as_few_as_possible() {
        let all_one = [Some(1); 4];
        assert_eq!(
            balance(&all_one, &[1, 2]),
            [Some(1), Some(1), Some(2), Some(2)]
        );
        let three = [Some(1), Some(1), Some(2), None];
        assert_eq!(
            balance(&three, &[1, 2]),
            [Some(1), Some(1), Some(2), Some(2)]
        );
        assert_eq!(balance(&[Some(9), None], &[1, 2, 3]), [Some(1), Some(2)]);
        assert_eq!(balance(&all_one, &[]), [None; 4]);
    }

    proptest! {
        #[test]
        fn is_even_and_whole(
            owners in prop::collection::vec(prop::option::of(0u64..6), 0..30),
            members in prop::collection::btree_set(0u64..6, 1..6),
        ) {
            let members: Vec<u64> = members.into_iter().collect();
            let targets = balance(&owners, &members);
            prop_assert!(targets.iter().all(|target| target.is_some_and(|to| members.contains(&to))));
            let count = |of: &[Option<u64>], member| of.iter().filter(|it| **it == Some(member)).count();
            let counts: Vec<_> = members.iter().map(|&member| count(&targets, member)).collect();
            prop_assert!(counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1);
            // Whoever gains has given nothing away.
            for &member in &members {
                let kept = (0..owners.len())
                    .filter(|&p| owners[p] == Some(member) && targets[p] == Some(member))
                    .count();
                prop_assert!(kept == count(&owners, member) || kept == count(&targets, member));
            }
        }
    }
}
