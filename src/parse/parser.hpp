#pragma once
// Text to statements, and a file of statements to the jobs that it becomes. The face of this
// folder: nobody else needs to include more than this. Pure: no server, no clock. Any thread.

#include <map>
#include <string>
#include <vector>

#include "parse/statement.hpp"

namespace lockkeeper::parse {

/// What one job will run: one statement, or several that need one transaction in one session.
struct Unit {
  std::vector<Statement> statements;
  std::string action;
  Mode mode = Mode::transactional;
  bool opaque = false;
  bool changes_schema = false;
  bool reorg = false;
  bool instant = false;   ///< may share a transaction with other instant jobs
  bool unparsed = false;  ///< run as a barrier, without our parser
  /// What made one job of several statements: BEGIN … COMMIT, or the first that leaves something in
  /// its session; empty: the whole file was to be one.
  std::string together_by;
  /// Settings that earlier SETs of the file made, by name (search_path and role too).
  std::map<std::string, std::string> settings;
  int role_position = 0;  ///< of the SET ROLE that holds; 0: none
  /// Settings that held at each statement, for the resolution of its names.
  std::vector<std::string> paths;
  [[nodiscard]] int position() const { return statements.front().position; }
};

struct FileOptions {
  bool single_transaction = false;  ///< the whole file is one job, as psql -1
  std::string source;               ///< file name for messages; empty: the command line
};

/// Major version of PostgreSQL whose grammar this build has.
int grammar();

/// All statements of `text`. Throws InputError (promise 13).
std::vector<Statement> parse(const std::string& text, const std::string& source = {});

/// The jobs that a migration file becomes, in order. SET makes no job: it changes the settings of
/// what follows. Throws InputError; then nothing of the file may be queued.
std::vector<Unit> parse_file(const std::string& text, const FileOptions& options = {});

/// As parse_file, of the statements that `text` was parsed to. Throws InputError.
std::vector<Unit> units_of(std::vector<Statement> statements, const std::string& text);

/// Exactly one statement, for submit. Throws InputError on none or on a second one.
Unit parse_one(const std::string& text);

/// The statements of `text`; none, when it cannot be parsed.
std::vector<Statement> statements_or_none(const std::string& text);

/// Statements of a text that the grammar does not know, each alone behind a barrier.
std::vector<Unit> barriers(const std::string& text, const std::string& source = {});

}  // namespace lockkeeper::parse
