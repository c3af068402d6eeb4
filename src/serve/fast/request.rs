#![forbid(unsafe_code)]
//! A request as the answering side sees it: whole, bounded and already framed.

use std::net::IpAddr;

/// The methods that look-ups know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `HEAD`; whatever body the reply has is left out.
    Head,
    /// Anything else.
    Other,
}

/// One request. It borrows from the connection's buffers and lives as long as the answer takes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// How it asks.
    pub method: Method,
    /// The target before `?`.
    pub path: &'a str,
    /// The target after `?`; empty where there is none.
    pub query: &'a str,
    /// `Content-Type`, where it is text.
    pub content_type: Option<&'a str>,
    /// `Accept`, where it is text.
    pub accept: Option<&'a str>,
    /// `Authorization`, as sent: its bytes are compared, never printed.
    pub authorization: Option<&'a [u8]>,
    /// Who asks.
    pub peer: IpAddr,
    /// The whole body, within the listener's limit.
    pub body: &'a [u8],
}

/// The target split at its first `?`.
pub(super) fn split_target(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// Copies of the words of a head, for the time its body is read: `may_minihttp` may reuse the head's memory for the body.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Target, content type and accept, one after the other, as text so that none is examined twice.
    text: String,
    target_end: usize,
    content_type_end: Option<usize>,
    accept_end: Option<usize>,
    authorization: Vec<u8>,
    authorized: bool,
}

impl Words {
    /// Keeps the words of one head, forgetting those before.
    pub(super) fn keep(
        &mut self,
        target: &str,
        content_type: Option<&[u8]>,
        accept: Option<&[u8]>,
        authorization: Option<&[u8]>,
    ) {
        self.text.clear();
        self.text.push_str(target);
        self.target_end = self.text.len();
        self.content_type_end = append(&mut self.text, text(content_type));
        self.accept_end = append(&mut self.text, text(accept));
        self.authorization.clear();
        self.authorization.extend_from_slice(authorization.unwrap_or_default());
        self.authorized = authorization.is_some();
    }

    /// The request that these words and a body make.
    pub(super) fn request<'a>(&'a self, method: Method, peer: IpAddr, body: &'a [u8]) -> Request<'a> {
        let mut start = self.target_end;
        let mut next = |end: Option<usize>| {
            let word = self.text.get(start..end?);
            start = end?;
            word
        };
        let content_type = next(self.content_type_end);
        let accept = next(self.accept_end);
        let authorization = self.authorized.then_some(self.authorization.as_slice());
        let (path, query) = split_target(self.text.get(..self.target_end).unwrap_or_default());
        Request { method, path, query, content_type, accept, authorization, peer, body }
    }
}

/// A header's value, where it is text.
pub(super) fn text(value: Option<&[u8]>) -> Option<&str> {
    value.and_then(|bytes| std::str::from_utf8(bytes).ok())
}

fn append(text: &mut String, word: Option<&str>) -> Option<usize> {
    text.push_str(word?);
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn kept_words_come_back_whole() {
        let mut words = Words::default();
        for (content_type, accept, authorization) in
            [(None, None, None), (Some(&b"a/b"[..]), None, Some(&b"Bearer \xff"[..])), (None, Some(&b"c/d"[..]), None)]
        {
            words.keep("/p?q=1", content_type, accept, authorization);
            let request = words.request(Method::Post, Ipv4Addr::LOCALHOST.into(), b"body");
            assert_eq!((request.path, request.query, request.body), ("/p", "q=1", &b"body"[..]));
            assert_eq!(request.content_type.map(str::as_bytes), content_type);
            assert_eq!(request.accept.map(str::as_bytes), accept);
            assert_eq!(request.authorization, authorization);
        }
    }
}
