#include "pg/sqlstate.hpp"

#include <array>
#include <sstream>
#include <string_view>

namespace lockkeeper::pg {
namespace {

constexpr std::array<std::string_view, 9> kSameSession = {
    "55P03",  // lock_not_available: lock_timeout or NOWAIT
    "40P01",  // deadlock_detected
    "40001",  // serialization_failure
    "53100",  // disk_full
    "53200",  // out_of_memory
    "53400",  // configuration_limit_exceeded
    "57014",  // query_canceled: by a person or a timeout; a cancelled job is told by its row
    "58030",  // io_error
    "55006",  // object_in_use
};

bool is_position_line(const std::string& line) {
  return line.rfind("LINE ", 0) == 0 && line.find(": ") != std::string::npos;
}

// libpq shows the line of the error, cut to about 60 columns with "..." at the cut ends, and a
// caret below it. The excerpt is looked up in that line of the statement.
int position_from(const std::string& line, const std::string& caret, const std::string& statement) {
  const auto colon = line.find(": ");
  int number = 0;
  try {
    number = std::stoi(line.substr(5, colon - 5));
  } catch (const std::exception&) {
    return 0;
  }
  std::size_t start = 0;
  for (int i = 1; i < number; ++i) {
    start = statement.find('\n', start);
    if (start == std::string::npos) return 0;
    ++start;
  }
  const std::string whole = statement.substr(start, statement.find('\n', start) - start);
  std::string excerpt = line.substr(colon + 2);
  int column = characters(caret, caret.size()) - characters(line, colon + 2);
  bool cut_left = false;
  if (whole.find(excerpt) == std::string::npos) {
    if (excerpt.rfind("...", 0) == 0) {
      excerpt.erase(0, 3);
      column -= 3;
      cut_left = true;
    }
    if (excerpt.size() > 3 && excerpt.compare(excerpt.size() - 3, 3, "...") == 0)
      excerpt.resize(excerpt.size() - 3);
  }
  const auto found = cut_left ? whole.rfind(excerpt) : whole.find(excerpt);
  if (found == std::string::npos || column < 1) return 0;
  return characters(statement, start + found) + column;
}

struct Label {
  std::string_view word;
  std::string Report::*field;
};
constexpr std::array<Label, 10> kLabels = {
    Label{"DETAIL:  ", &Report::detail}, {"HINT:  ", &Report::hint},
    {"CONTEXT:  ", &Report::context},    {"QUERY:  ", nullptr},
    {"SCHEMA NAME:  ", nullptr},         {"TABLE NAME:  ", nullptr},
    {"COLUMN NAME:  ", nullptr},         {"DATATYPE NAME:  ", nullptr},
    {"CONSTRAINT NAME:  ", nullptr},     {"LOCATION:  ", nullptr}};

std::string without_severity(const std::string& line) {
  const auto colon = line.find(":  ");
  const bool severity = colon != std::string::npos && line.find(' ') > colon;
  return severity ? line.substr(colon + 3) : line;
}

// "42501: permission denied": the verbose form begins with the code.
std::string take_sqlstate(std::string& message) {
  if (message.size() < 7 || message.compare(5, 2, ": ") != 0) return {};
  for (std::size_t i = 0; i < 5; ++i)
    if (std::isdigit(static_cast<unsigned char>(message[i])) == 0 &&
        std::isupper(static_cast<unsigned char>(message[i])) == 0)
      return {};
  std::string code = message.substr(0, 5);
  message.erase(0, 7);
  return code;
}

}  // namespace

Retry retry_for(const std::string& sqlstate) {
  for (const auto& code : kSameSession)
    if (sqlstate == code) return Retry::same_session;
  const std::string kind = sqlstate.substr(0, 2);
  // 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now, 57P05 idle timeout.
  if (kind == "08" || sqlstate.rfind("57P", 0) == 0 || sqlstate == "53300")
    return Retry::new_session;
  return Retry::never;
}

Report report_from(const std::string& full_text, const std::string& sqlstate,
                   const std::string& statement) {
  // libpqxx 7 puts the query's name before the server's words: Failure during '[PREPARE x]': ERROR…
  std::string text = full_text;
  if (const auto end = text.find("': "); text.rfind("Failure during '", 0) == 0 && end != text.npos)
    text.erase(0, end + 3);
  Report report;
  report.sqlstate = sqlstate;
  report.statement = statement;
  std::string dropped;
  std::string* field = &report.message;
  std::istringstream lines(text);
  std::string line;
  for (bool first = true; std::getline(lines, line); first = false) {
    if (is_position_line(line) && field == &report.message) {
      std::string caret;
      std::getline(lines, caret);
      report.position = position_from(line, caret, statement);
      continue;
    }
    bool labelled = false;
    for (const auto& label : kLabels) {
      if (line.rfind(label.word, 0) != 0) continue;
      field = label.field != nullptr ? &(report.*label.field) : &dropped;
      *field = line.substr(label.word.size());
      labelled = true;
    }
    if (labelled) continue;
    if (!first) *field += '\n';
    *field += first ? without_severity(line) : line;
  }
  if (const auto code = take_sqlstate(report.message); !code.empty()) report.sqlstate = code;
  return report;
}

}  // namespace lockkeeper::pg
