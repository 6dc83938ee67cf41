//! Finds the first of many patterns.

use std::collections::HashMap;

use regex::Regex;

/// Patterns by their segments. A rank is a place in the order in which patterns are tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// By the next segment, as text.
    texts: HashMap<Box<str>, Self>,
    /// For any next segment that is not empty.
    parameter: Option<Box<Self>>,
    /// The lowest rank of those that end here.
    end: Option<usize>,
    /// Those of which an expression decides, from here on.
    expressions: Vec<(usize, Regex)>,
    /// The lowest rank here and below.
    lowest: Option<usize>,
}

/// A segment of a pattern.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Segment {
    /// Anything that is not empty.
    Parameter,
    /// This text.
    Text(String),
}

impl Tree {
    /// Adds a pattern. Ranks must come in their order.
    pub(super) fn insert(&mut self, rank: usize, segments: &[Segment], expression: Option<&Regex>) {
        let mut node = self;
        node.lowest.get_or_insert(rank);
        for segment in segments {
            node = match segment {
                Segment::Parameter => node.parameter.get_or_insert_default(),
                Segment::Text(text) => node.texts.entry(text.as_str().into()).or_default(),
            };
            node.lowest.get_or_insert(rank);
        }
        match expression {
            Some(expression) => node.expressions.push((rank, expression.clone())),
            None => {
                node.end.get_or_insert(rank);
            }
        }
    }

    /// Returns the lowest rank of the patterns that match the path. Expressions see each of `texts`.
    pub(super) fn first(&self, path: &str, texts: &[&str]) -> Option<usize> {
        let mut best = usize::MAX;
        self.visit(path.strip_prefix('/'), texts, &mut best);
        (best != usize::MAX).then_some(best)
    }

    fn visit(&self, rest: Option<&str>, texts: &[&str], best: &mut usize) {
        if self.lowest.is_none_or(|lowest| lowest >= *best) {
            return;
        }
        let candidates = self.expressions.iter().take_while(|(rank, _)| rank < best);
        let matching =
            candidates.into_iter().find(|(_, expression)| texts.iter().any(|text| expression.is_match(text)));
        if let Some((rank, _)) = matching {
            *best = *rank;
        }
        let Some(rest) = rest else {
            *best = self.end.map_or(*best, |rank| rank.min(*best));
            return;
        };
        let (segment, rest) = rest.split_once('/').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        if let Some(node) = self.texts.get(segment) {
            node.visit(rest, texts, best);
        }
        if let Some(node) = self.parameter.as_ref().filter(|_| !segment.is_empty()) {
            node.visit(rest, texts, best);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Segment, Tree};

    #[test]
    fn the_lowest_rank_wins_wherever_the_others_end() {
        let text = |text: &str| Segment::Text(text.to_owned());
        let mut tree = Tree::default();
        tree.insert(0, &[Segment::Parameter, text("b")], None);
        tree.insert(1, &[text("a")], None);
        tree.insert(2, &[Segment::Parameter], None);
        for (path, rank) in [("/a/b", 0), ("/a", 1), ("/c", 2)] {
            assert_eq!(tree.first(path, &[path]), Some(rank), "{path}");
        }
    }
}
