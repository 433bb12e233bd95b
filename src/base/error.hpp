#pragma once
// Failures, as one exception that can be acted on, and bad input, as another.
// An outcome (nothing to do, lock busy) is never an exception. Values: copyable, any thread.

#include <stdexcept>
#include <string>

namespace lockkeeper {

/// What may be done after a failure. `outcome_unknown`: a commit whose answer was lost; decide by
/// reading the tables, never by repeating (PostgreSQL manual, libpq "PQresultStatus" gives no
/// more).
enum class Retry { never, same_session, new_session, outcome_unknown };

const char* to_string(Retry retry);

/// What the server said, field by field (PostgreSQL manual 55.8 "Error and Notice Message Fields").
struct Report {
  std::string sqlstate;   ///< five characters; empty when no server was involved
  std::string message;    ///< the primary message, without severity
  std::string detail;     ///< may be empty
  std::string hint;       ///< may be empty
  std::string context;    ///< may be empty
  std::string statement;  ///< the statement that failed; may be empty
  int position = 0;       ///< 1-based character in `statement`; 0 = not known
  std::string waits_for =
      {};                   ///< when it is no failure but a wait: lock, node, transaction, cut-over
  double held_seconds = 0;  ///< of a wait: for how long that has been in the way
};

class Error : public std::runtime_error {
 public:
  Error(Retry retry, Report report, std::string query);
  /// A failure that no server reported; `sqlstate` may be empty.
  Error(Retry retry, const std::string& message, const std::string& sqlstate = {});

  [[nodiscard]] Retry retry() const { return retry_; }
  [[nodiscard]] const Report& report() const { return report_; }
  [[nodiscard]] const std::string& sqlstate() const { return report_.sqlstate; }
  /// Name of the query file (`jobs.claim`), or empty.
  [[nodiscard]] const std::string& query() const { return query_; }

 private:
  Retry retry_;
  Report report_;
  std::string query_;
};

/// A place in a text, for people: both 1-based, in characters.
struct Place {
  int line = 1;
  int column = 1;
  std::string text;  ///< the whole line
};

/// Where the 1-based character `position` of `text` (UTF-8) stands. Past the end: the end.
Place place_of(const std::string& text, int position);

/// Number of characters (code points) in the first `bytes` bytes of UTF-8 `text`.
int characters(const std::string& text, std::size_t bytes);
/// With ? for control characters but tab and line feed.
std::string printable(std::string text);

/// Input that cannot be taken; nothing was queued (promise 13).
class InputError : public std::runtime_error {
 public:
  /// `position` is the 1-based character in `text`, 0 when the whole text is meant. `source` is a
  /// file name or empty.
  InputError(Report report, const std::string& text, std::string source = {});
  explicit InputError(const std::string& message, const std::string& hint = {});

  [[nodiscard]] const Report& report() const { return report_; }
  [[nodiscard]] const Place& place() const { return place_; }
  [[nodiscard]] const std::string& source() const { return source_; }
  /// `source:line:column: error: message`, the line, a caret under the place, the hint.
  [[nodiscard]] std::string pretty() const;

 private:
  Report report_;
  Place place_;
  std::string source_;
};

}  // namespace lockkeeper
