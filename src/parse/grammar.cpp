// The only file that knows libpg_query.
#include <pg_query.h>

#include <memory>

#include "parse/tree.hpp"

namespace lockkeeper::parse {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

// libpg_query's slices begin with the white space and comments before a statement; the position
// that people see is that of its first word.
std::size_t skip_blank(const std::string& text, std::size_t at, std::size_t end) {
  while (at < end) {
    if (is_space(text[at])) {
      ++at;
    } else if (text.compare(at, 2, "--") == 0) {
      at = std::min(text.find('\n', at), end);
    } else if (text.compare(at, 2, "/*") == 0) {
      int depth = 0;
      do {
        if (text.compare(at, 2, "/*") == 0) {
          ++depth;
          at += 2;
        } else if (text.compare(at, 2, "*/") == 0) {
          --depth;
          at += 2;
        } else {
          ++at;
        }
      } while (depth > 0 && at < end);
    } else {
      break;
    }
  }
  return at;
}

RawStatement slice(const std::string& text, std::size_t location, std::size_t length) {
  std::size_t end = length == 0 ? text.size() : std::min(location + length, text.size());
  const std::size_t start = skip_blank(text, location, end);
  while (end > start && (is_space(text[end - 1]) || text[end - 1] == ';')) --end;
  RawStatement raw;
  raw.text = text.substr(start, end - start);
  raw.position = characters(text, start) + 1;
  return raw;
}

[[noreturn]] void refuse(const PgQueryError& error, const std::string& text,
                         const std::string& source) {
  Report report;
  report.sqlstate = "42601";
  report.message = error.message;
  report.statement = text;
  report.position = error.cursorpos;
  if (report.position > 0) {
    const Place place = place_of(text, report.position);
    const auto first = place.text.find_first_not_of(" \t");
    if (first != std::string::npos && place.text[first] == '\\')
      report.hint =
          "lines that begin with a backslash are commands of psql; they mean nothing to the server";
  }
  throw InputError(report, text, source);
}

void refuse_zero_bytes(const std::string& text, const std::string& source) {
  const auto at = text.find('\0');
  if (at == std::string::npos) return;
  Report report;
  report.sqlstate = "42601";
  report.message = "the text holds a zero byte";
  report.hint = "is this a UTF-16 or a binary file? SQL text must be UTF-8";
  report.position = characters(text, at) + 1;
  throw InputError(report, text.substr(0, at), source);
}

}  // namespace

int grammar_version() { return PG_VERSION_NUM / 10000; }

std::vector<RawStatement> parse_tree(const std::string& text, const std::string& source) {
  refuse_zero_bytes(text, source);
  PgQueryParseResult result = pg_query_parse(text.c_str());
  const auto release = [](PgQueryParseResult* r) { pg_query_free_parse_result(*r); };
  const std::unique_ptr<PgQueryParseResult, decltype(release)> owned(&result, release);
  if (result.error != nullptr) refuse(*result.error, text, source);
  std::vector<RawStatement> statements;
  Tree tree = Tree::parse(result.parse_tree);
  for (auto& entry : tree["stmts"]) {
    const std::size_t location = entry.value("stmt_location", std::size_t{0});
    RawStatement raw = slice(text, location, entry.value("stmt_len", std::size_t{0}));
    auto& stmt = entry["stmt"];
    raw.tag = stmt.begin().key();
    raw.node = std::move(stmt.begin().value());
    statements.push_back(std::move(raw));
  }
  return statements;
}

std::vector<RawStatement> split_only(const std::string& text, const std::string& source) {
  refuse_zero_bytes(text, source);
  PgQuerySplitResult result = pg_query_split_with_scanner(text.c_str());
  const auto release = [](PgQuerySplitResult* r) { pg_query_free_split_result(*r); };
  const std::unique_ptr<PgQuerySplitResult, decltype(release)> owned(&result, release);
  if (result.error != nullptr) refuse(*result.error, text, source);
  std::vector<RawStatement> statements;
  for (int i = 0; i < result.n_stmts; ++i) {
    RawStatement raw = slice(text, static_cast<std::size_t>(result.stmts[i]->stmt_location),
                             static_cast<std::size_t>(result.stmts[i]->stmt_len));
    if (!raw.text.empty()) statements.push_back(std::move(raw));
  }
  return statements;
}

}  // namespace lockkeeper::parse
