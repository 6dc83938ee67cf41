//! Requirements that were checked.

use super::{handles::Counter, table::AUTHORIZATION_DECISIONS};

/// The decisions at one place in a service.
#[derive(Default)]
pub(crate) struct DecisionInstruments {
    /// By kind of requirement, for those that were met and for those that were not.
    counters: [[Counter; 2]; 7],
}

/// The kind of a requirement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RequirementLabel {
    Feature,
    Other,
    Permission,
    Plan,
    Reverification,
    Role,
    Scope,
}

impl DecisionInstruments {
    pub(crate) fn decided(&self, requirement: RequirementLabel, is_met: bool) {
        let [feature, other, permission, plan, reverification, role, scope] = &self.counters;
        let ([denied, allowed], name) = match requirement {
            RequirementLabel::Feature => (feature, "feature"),
            RequirementLabel::Other => (other, "other"),
            RequirementLabel::Permission => (permission, "permission"),
            RequirementLabel::Plan => (plan, "plan"),
            RequirementLabel::Reverification => (reverification, "reverification"),
            RequirementLabel::Role => (role, "role"),
            RequirementLabel::Scope => (scope, "scope"),
        };
        let (counter, result) = if is_met { (allowed, "allowed") } else { (denied, "denied") };
        counter.add(&AUTHORIZATION_DECISIONS, 1, || vec![("result", result.into()), ("requirement", name.into())]);
    }
}
