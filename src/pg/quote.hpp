#pragma once
// Quoting of names and values for SQL that is built (everything else goes through parameters).
// Pure; any thread. Requires standard_conforming_strings = on, which each session of ours sets.

#include <string>

namespace lockkeeper::pg {

/// Always quoted: "name", inner quotes doubled. Throws InputError on an embedded NUL.
std::string quote_ident(const std::string& name);
/// 'value', inner quotes doubled; E'' form when there is a backslash.
std::string quote_literal(const std::string& value);

}  // namespace lockkeeper::pg
