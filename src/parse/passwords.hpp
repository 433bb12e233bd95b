#pragma once
// Passwords of roles do not belong into the queue and the history, where others may read them.
// Pure: no server. One thread at a time.

#include <functional>
#include <string>

namespace lockkeeper::parse {

/// A CREATE or ALTER ROLE (USER, GROUP) whose PASSWORD is written in clear text, with what `hashed`
/// gives for it instead; anything else as it is. Throws InputError when the statement cannot be
/// given back without it. (PostgreSQL manual, CREATE ROLE: a hash is stored as it is.)
std::string with_hashed_password(
    const std::string& text, const std::function<std::string(const std::string& password)>& hashed);

}  // namespace lockkeeper::parse
