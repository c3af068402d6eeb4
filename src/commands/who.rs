//! Who a token or a certificate is for, as it is said on the command line.

use clap::{ArgGroup, Args};

use super::CommandError;
use crate::domain::identifier::InstitutionCode;
use crate::serve::roles::{Identity, NodeName, Role, Who};

/// An institution or a machine.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("identity").required(true).args(["institution", "name"])))]
pub(super) struct WhoArguments {
    /// The institution it is for, 10 digits
    #[arg(long)]
    institution: Option<String>,
    /// Or the machine it is for: letters, digits, dots, hyphens
    #[arg(long)]
    name: Option<String>,
}

impl WhoArguments {
    /// The identity with a role.
    pub(super) fn identity(&self, role: &str) -> Result<Identity, CommandError> {
        let role = Role::from_word(role).ok_or_else(|| CommandError::new("--role: no such role"))?;
        let who = match (&self.institution, &self.name) {
            (Some(code), _) => InstitutionCode::parse(code.as_bytes())
                .map(Who::Institution)
                .map_err(|error| CommandError::new(format!("--institution: {error}; 10 digits are needed")))?,
            (None, Some(name)) => {
                NodeName::parse(name).map(Who::Node).map_err(|error| CommandError::new(format!("--name: {error}")))?
            }
            (None, None) => return Err(CommandError::new("say --institution or --name")),
        };
        Identity::new(role, who).map_err(|error| CommandError::new(format!("--role: {error}")))
    }
}
