#pragma once
// SQLSTATE to what may be done after it, and libpq's error text to fields. Pure; any thread.

#include <string>

#include "base/error.hpp"

namespace lockkeeper::pg {

/// What may be done after an error with this SQLSTATE (PostgreSQL manual, appendix A).
/// Lock timeout, deadlock, serialization, disk or memory full: same_session. Connection and
/// shutdown classes: new_session. Everything else: never.
Retry retry_for(const std::string& sqlstate);

/// Splits the text that libpq made of an error (PQresultErrorMessage, default or verbose; its
/// labels are libpq's own and stay English as long as this process does not call setlocale) into
/// fields. `sqlstate` holds unless the text brings one. `statement` is what was sent; the position
/// is found from libpq's LINE excerpt.
Report report_from(const std::string& text, const std::string& sqlstate,
                   const std::string& statement);

}  // namespace lockkeeper::pg
