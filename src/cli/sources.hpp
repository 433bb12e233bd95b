#pragma once
// Migration files as the command line names them. One thread.

#include <string>
#include <vector>

#include "client/client.hpp"

namespace lockkeeper::cli {

/// The texts of `names`: files as given, - for standard input, and of a directory its .sql files in
/// name order (*.sql, */migration.sql, */up.sql), without those that take a migration back. Throws
/// InputError.
std::vector<client::SourceText> read_sources(const std::vector<std::string>& names);

/// Throws InputError when somebody gave the name of a file where a statement is expected.
void need_no_file(const std::string& text, const std::string& instead);

}  // namespace lockkeeper::cli
