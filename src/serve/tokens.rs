//! Tokens: who may ask, and as which institution. Only their hashes are stored; a token itself is shown once.
//!
//! A token is 32 random bytes, so its hash needs no salt and no slowness: there is nothing to guess.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::roles::{Identity, Role, Who};
use crate::audit::TokenId;

/// A token as it is stored.
#[derive(Clone, Debug)]
pub struct Token {
    /// The first eight hex digits of its hash: how a person names it.
    pub name: String,
    /// The same as a number: how the audit names it.
    pub id: TokenId,
    /// Who bears it, and what they are.
    pub identity: Identity,
    hash: [u8; 32],
}

/// All tokens of a file.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    by_hash: HashMap<[u8; 32], Token>,
}

/// What is wrong with a file of tokens, or with what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not a token's.
    #[error("{}, line {line}: not a token (hash, institution or name, and role, separated by spaces)", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    Random(String),
    /// No token, or several, have that name.
    #[error("no single token is called {0}; see `shikaku token list`")]
    Unknown(String),
}

impl Tokens {
    /// Reads a file; one that is not there holds no tokens.
    pub fn read(path: &Path) -> Result<Tokens, TokenError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Tokens::default()),
            Err(source) => return Err(TokenError::File { path: path.to_owned(), source }),
        };
        let mut by_hash = HashMap::new();
        for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let token = parse_line(line).ok_or(TokenError::Line { path: path.to_owned(), line: place + 1 })?;
            by_hash.insert(token.hash, token);
        }
        Ok(Tokens { by_hash })
    }

    /// Makes a token and writes the file; gives the token, which is never seen again.
    pub fn add(&mut self, path: &Path, identity: Identity) -> Result<String, TokenError> {
        let mut secret = [0u8; 32];
        getrandom::fill(&mut secret).map_err(|error| TokenError::Random(error.to_string()))?;
        let text = format!("shk_{}", blake3::Hash::from_bytes(secret).to_hex());
        let token = token_of(hash(text.as_bytes()), identity);
        self.by_hash.insert(token.hash, token);
        self.write(path)?;
        Ok(text)
    }

    /// Takes a token away by its name and writes the file.
    pub fn revoke(&mut self, path: &Path, name: &str) -> Result<(), TokenError> {
        let named: Vec<[u8; 32]> = self.by_hash.values().filter(|token| token.name == name).map(|token| token.hash).collect();
        let [hash] = named.as_slice() else { return Err(TokenError::Unknown(name.to_owned())) };
        self.by_hash.remove(hash);
        self.write(path)
    }

    /// The token that an `Authorization` header bears.
    pub fn bearer(&self, authorization: &[u8]) -> Option<&Token> {
        let (scheme, token) = authorization.split_at_checked(7)?;
        if !scheme.eq_ignore_ascii_case(b"bearer ") {
            return None;
        }
        self.by_hash.get(&hash(token.trim_ascii()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// All tokens, by name.
    pub fn list(&self) -> Vec<&Token> {
        let mut tokens: Vec<&Token> = self.by_hash.values().collect();
        tokens.sort_by(|one, other| one.name.cmp(&other.name));
        tokens
    }

    fn write(&self, path: &Path) -> Result<(), TokenError> {
        let fail = |source| TokenError::File { path: path.to_owned(), source };
        let aside = path.with_extension("tmp");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside).map_err(fail)?;
        for token in self.list() {
            let hash = blake3::Hash::from_bytes(token.hash).to_hex();
            writeln!(file, "{hash} {} {}", token.identity.who(), token.identity.role()).map_err(fail)?;
        }
        file.sync_all().and_then(|()| std::fs::rename(&aside, path)).map_err(fail)
    }
}

fn parse_line(line: &str) -> Option<Token> {
    let mut words = line.split_ascii_whitespace();
    let hash = blake3::Hash::from_hex(words.next()?).ok()?;
    let who = Who::parse(words.next()?).ok()?;
    let role = Role::from_word(words.next()?)?;
    let identity = Identity::new(role, who).ok()?;
    words.next().is_none().then(|| token_of(*hash.as_bytes(), identity))
}

fn token_of(hash: [u8; 32], identity: Identity) -> Token {
    let name = blake3::Hash::from_bytes(hash).to_hex().chars().take(8).collect();
    Token { name, id: TokenId::of_hash(&hash), identity, hash }
}

fn hash(token: &[u8]) -> [u8; 32] {
    *blake3::hash(token).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_until_it_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let identity = Identity::parse_urn("urn:shikaku:institution:0110113719").unwrap();
        let secret = Tokens::default().add(&path, identity.clone()).unwrap();
        let mut read = Tokens::read(&path).unwrap();
        let header = format!("Bearer {secret}");
        assert_eq!(read.bearer(header.as_bytes()).unwrap().identity, identity);
        assert!(read.bearer(b"Bearer shk_other").is_none() && read.bearer(secret.as_bytes()).is_none());
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&secret));
        let name = read.list()[0].name.clone();
        assert_eq!(read.list()[0].id.to_string(), name, "the audit names a token as the list does");
        read.revoke(&path, &name).unwrap();
        assert!(Tokens::read(&path).unwrap().is_empty());
        assert!(read.revoke(&path, &name).is_err());
    }

    #[test]
    fn a_faulty_line_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        std::fs::write(&path, "# tokens\nnot a token\n").unwrap();
        assert!(matches!(Tokens::read(&path), Err(TokenError::Line { line: 2, .. })));
    }
    #[test]
    fn tokens_that_were_written_with_the_words_of_before_mean_the_roles_of_now() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let words = ["lookup", "register", "follow", "monitor"];
        let lines = (1u8..).zip(words).map(|(number, word)| format!("{} 0110113719 {word}\n", hex(number)));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let mut tokens = Tokens::read(&path).unwrap();
        let roles: Vec<Role> = tokens.list().iter().map(|token| token.identity.role()).collect();
        assert_eq!(roles, [Role::Institution, Role::Authority, Role::Replica, Role::Operator]);
        // The next change writes them all in the words of now.
        tokens.add(&path, Identity::parse_urn("urn:shikaku:clearing_house:kokuho-13").unwrap()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(" 0110113719 institution\n") && text.contains(" kokuho-13 clearing_house\n"), "{text}");
        assert_eq!(Tokens::read(&path).unwrap().list().len(), 5);
        // An institution asks as itself, so that a name is not enough.
        std::fs::write(&path, format!("{} north-hospital lookup\n", hex(1))).unwrap();
        assert!(matches!(Tokens::read(&path), Err(TokenError::Line { line: 1, .. })));
    }

    fn hex(number: u8) -> String {
        blake3::Hash::from_bytes([number; 32]).to_hex().to_string()
    }
}
