#pragma once
// What a server keeps of a password.

#include <string>

namespace lockkeeper::pg {

/// The SCRAM-SHA-256 verifier of `password`, with a salt of its own each time, as the server itself
/// would make it (PostgreSQL manual, libpq PQencryptPasswordConn). Needs no server. Throws Error.
std::string scram_verifier(const std::string& password);

}  // namespace lockkeeper::pg
