#pragma once
// What a statement does to, or expects of, the session that a migration file runs in. Pure.

#include <optional>
#include <string>

#include "parse/tree.hpp"

namespace lockkeeper::parse {

struct SessionProblem {
  std::string message;
  std::string hint;
};

/// Fills session_use, setting_name, setting_value and temporary. Gives a reason when the statement
/// cannot be part of a job (two-phase commit, …).
std::optional<SessionProblem> read_session_use(const RawStatement& raw, Statement& statement);

}  // namespace lockkeeper::parse
