//! Whether the data are young enough to say "no": an operator may set an age from which expired, future, not registered and
//! not participating are not to be believed.

use super::{Action, Answer, Dossier, Knowledge, Note, Question, Row, Subject, Verdict};
use crate::domain::identifier::AuthorityCode;

/// Turns a "no" from old data into `stale`, and marks a "yes" from old data.
pub(super) fn weigh<R: Row>(answer: &mut Answer<'_, R>, question: &Question<'_>, knowledge: &Knowledge<'_>) {
    if knowledge.data_age_max_s.is_none() {
        return;
    }
    if !answer.entitlements.is_empty() {
        let old = answer.entitlements.iter().any(|entry| is_old(&entry.row.authority(), knowledge));
        match (old, answer.verdict) {
            (false, _) => {}
            (true, Verdict::Expired | Verdict::Future) => answer.verdict = Verdict::Stale,
            (true, _) => answer.notes.add(Note::OldData),
        }
        return;
    }
    let payer = match question.subject {
        Subject::Certificate { payer, .. } => knowledge.masters.payer_authority(&payer, question.service_date),
        Subject::Member { .. } | Subject::Card => None,
    };
    // An authority that never registered has no data that could be old: whether it takes part is judged by the newest feed of all.
    let fed = payer.filter(|authority| is_a_source(authority, knowledge));
    let newest_is_old = match fed {
        Some(authority) => is_old(&authority, knowledge),
        None => is_over_age(knowledge.sources.newest_feed_unix_s(), knowledge),
    };
    if newest_is_old {
        answer.verdict = Verdict::Stale;
    } else if payer.is_none() && is_over_age(knowledge.sources.oldest_feed_unix_s(), knowledge) {
        answer.notes.add(Note::OldData);
    }
}

/// An ambiguous answer keeps itself, whatever the age; it gains the note.
pub(super) fn ambiguous<'a, D: Dossier<'a>>(
    answer: &mut Answer<'a, D::Row>,
    action: Action,
    found: &[D],
    question: &Question<'_>,
    knowledge: &Knowledge<'_>,
) {
    answer.verdict = Verdict::Ambiguous;
    answer.action = action;
    let subject = &question.subject;
    let old = |row: &D::Row| subject.asks_about(row) && is_old(&row.authority(), knowledge);
    let mut asked_about = found.iter().filter(|dossier| subject.may_mean(**dossier));
    if knowledge.data_age_max_s.is_some() && asked_about.any(|dossier| dossier.rows().any(|(row, _)| old(row))) {
        answer.notes.add(Note::OldData);
    }
}

fn is_a_source(authority: &AuthorityCode, knowledge: &Knowledge<'_>) -> bool {
    let source = knowledge.sources.of(authority);
    source.last_feed_unix_s.is_some() || source.has_current_rows
}

fn is_old(authority: &AuthorityCode, knowledge: &Knowledge<'_>) -> bool {
    is_over_age(knowledge.sources.of(authority).last_feed_unix_s, knowledge)
}

/// Data whose feed is not known are as old as can be.
fn is_over_age(last_feed_unix_s: Option<u64>, knowledge: &Knowledge<'_>) -> bool {
    let Some(age_max_s) = knowledge.data_age_max_s else { return false };
    last_feed_unix_s.is_none_or(|last| knowledge.now_unix_s.saturating_sub(last) > age_max_s)
}
