// Text to tree. Only this file and rewrite.cpp know libpg_query.
#include <pg_query.h>
#include <pthread.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/characters.hpp"
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

RawStatement slice(const std::string& text, std::size_t location, std::size_t length,
                   CharacterCount& characters) {
  std::size_t end = length == 0 ? text.size() : std::min(location + length, text.size());
  const std::size_t start = skip_blank(text, location, end);
  while (end > start && (is_space(text[end - 1]) || text[end - 1] == ';')) --end;
  RawStatement raw;
  raw.text = text.substr(start, end - start);
  raw.position = characters.before(start) + 1;
  return raw;
}

// The error stands in the first lines after a COPY … FROM stdin.
bool follows_copy_data(const std::string& text, int position) {
  const Place place = place_of(text, position);
  std::istringstream lines(text);
  std::string line;
  std::string before;
  for (int number = 1; number < place.line && std::getline(lines, line); ++number) before = line;
  std::transform(before.begin(), before.end(), before.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return before.find("copy ") != std::string::npos &&
         before.find("from stdin") != std::string::npos;
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
    if (follows_copy_data(text, report.position))
      report.hint =
          "data after COPY … FROM stdin is for psql; load it outside of the schema change, or dump "
          "with "
          "pg_dump --inserts";
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

[[noreturn]] void refuse_at(const std::string& sqlstate, const std::string& message,
                            const std::string& hint, std::size_t byte, const std::string& text,
                            const std::string& source) {
  Report report;
  report.sqlstate = sqlstate;
  report.message = message;
  report.hint = hint;
  // What follows the place may not be text at all.
  const std::string until = text.substr(0, byte);
  report.position = characters(until, until.size()) + 1;
  throw InputError(report, until, source);
}

// Length of the well-formed character at `at`, or 0.
std::size_t utf8_length(const std::string& text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  const std::size_t length = byte < 0x80   ? 1
                             : byte < 0xC2 ? 0
                             : byte < 0xE0 ? 2
                             : byte < 0xF0 ? 3
                             : byte < 0xF5 ? 4
                                           : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[at + i]) & 0xC0U) != 0x80U) return 0;
  // Too long for what it says, half a surrogate pair, or beyond the last character.
  const auto second = length > 1 ? static_cast<unsigned char>(text[at + 1]) : 0;
  if ((byte == 0xE0 && second < 0xA0) || (byte == 0xED && second > 0x9F) ||
      (byte == 0xF0 && second < 0x90) || (byte == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

void refuse_what_is_no_text(const std::string& text, const std::string& source) {
  refuse_zero_bytes(text, source);
  for (std::size_t at = 0; at < text.size();) {
    const auto length = utf8_length(text, at);
    if (length == 0)
      refuse_at("22021", "not UTF-8", "convert the text, for example with iconv -f latin1 -t utf8",
                at, text, source);
    at += length;
  }
}

// Trees are walked by recursion; the server itself stops at some thousand levels too.
void refuse_depth(const std::string& tree, const std::string& text, const std::string& source) {
  constexpr int kDeepest = 6000;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const char c = tree[i];
    if (c == '\\' && quoted)
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '{' || c == '['))
      ++depth;
    else if (!quoted && (c == '}' || c == ']'))
      --depth;
    if (depth > kDeepest)
      refuse_at("54001", "the statement is nested too deeply", "break it up", 0, text, source);
  }
}

// libpg_query leaves some control characters of a string as they are, which JSON does not allow;
// its own text has none.
std::string escaped(const char* tree) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (; *tree != '\0'; ++tree) {
    const auto byte = static_cast<unsigned char>(*tree);
    if (byte >= 0x20) {
      out += *tree;
      continue;
    }
    out += "\\u00";
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 0xFU];
  }
  return out;
}

// libpg_query writes its tree by recursion and does not look at the stack: half a kilobyte of stack
// for each byte of text is more than the deepest tree that fits into the text can take (measured: a
// term of two characters takes less than 800 bytes). Pages that are not touched cost nothing.
PgQueryParseResult parse_with_room(const std::string& text, const std::string& source) {
  constexpr std::size_t kShort = 8192;
  if (text.size() <= kShort) return pg_query_parse(text.c_str());
  struct Call {
    const char* text;
    PgQueryParseResult result;
  } call{text.c_str(), {}};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, (std::size_t{16} << 20U) + 512 * text.size());
  pthread_t thread{};
  const auto body = [](void* given) -> void* {
    auto* wanted = static_cast<Call*>(given);
    wanted->result = pg_query_parse(wanted->text);
    return nullptr;
  };
  const int failed = pthread_create(&thread, &attributes, body, &call);
  pthread_attr_destroy(&attributes);
  if (failed != 0)
    refuse_at("54000", "the text is too large to be parsed here", "split the file", 0, text,
              source);
  pthread_join(thread, nullptr);
  return call.result;
}

// Of psql's commands, those that say nothing to anybody but psql, at the head and the end of dumps
// and of scripts for it.
bool is_harmless_command(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.empty()) return false;
  if (words[0] == "\\restrict" || words[0] == "\\unrestrict") return words.size() == 2;
  if (words[0] != "\\set" || words.size() < 2 || words.size() > 3) return false;
  if (words[1] == "QUIET") return true;
  // Off would be a wish that is not fulfilled.
  return words[1] == "ON_ERROR_STOP" &&
         (words.size() == 2 || words[2] == "on" || words[2] == "1" || words[2] == "true");
}

// Blanks the line at which the parser stopped, when it is such a command (only the parser knows
// that it is not inside of a string). False: it is something else.
bool blank_command(std::string& text, int position) {
  if (position <= 0) return false;
  const Place place = place_of(text, position);
  std::size_t begin = 0;
  for (int line = 1; line < place.line; ++line) begin = text.find('\n', begin) + 1;
  const auto end = std::min(text.find('\n', begin), text.size());
  const auto first = text.find_first_not_of(" \t", begin);
  const auto column = characters(text.substr(begin), first - begin) + 1;
  if (first >= end || place.column != column ||
      !is_harmless_command(text.substr(begin, end - begin)))
    return false;
  std::fill(text.begin() + static_cast<std::ptrdiff_t>(begin),
            text.begin() + static_cast<std::ptrdiff_t>(end), ' ');
  return true;
}

// The tree of `text`, in which commands that say nothing are blanked.
std::string json_of(std::string& text, const std::string& source) {
  // Each of them costs another look at the text.
  constexpr int kCommandsMost = 16;
  for (int commands = 0;; ++commands) {
    PgQueryParseResult result = parse_with_room(text, source);
    const auto release = [](PgQueryParseResult* r) { pg_query_free_parse_result(*r); };
    const std::unique_ptr<PgQueryParseResult, decltype(release)> owned(&result, release);
    if (result.error == nullptr) return escaped(result.parse_tree);
    if (commands == kCommandsMost || !blank_command(text, result.error->cursorpos))
      refuse(*result.error, text, source);
  }
}

}  // namespace

int grammar_version() { return PG_VERSION_NUM / 10000; }

std::vector<RawStatement> parse_tree(const std::string& given, const std::string& source) {
  refuse_what_is_no_text(given, source);
  std::string text = given;
  const std::string json = json_of(text, source);
  std::vector<RawStatement> statements;
  refuse_depth(json, text, source);
  Tree tree = Tree::parse(json);
  CharacterCount characters(text);
  for (auto& entry : tree["stmts"]) {
    const std::size_t location = entry.value("stmt_location", std::size_t{0});
    RawStatement raw = slice(text, location, entry.value("stmt_len", std::size_t{0}), characters);
    auto& stmt = entry["stmt"];
    raw.tag = stmt.begin().key();
    raw.node = std::move(stmt.begin().value());
    statements.push_back(std::move(raw));
  }
  return statements;
}

std::vector<RawStatement> split_only(const std::string& text, const std::string& source) {
  refuse_what_is_no_text(text, source);
  PgQuerySplitResult result = pg_query_split_with_scanner(text.c_str());
  const auto release = [](PgQuerySplitResult* r) { pg_query_free_split_result(*r); };
  const std::unique_ptr<PgQuerySplitResult, decltype(release)> owned(&result, release);
  if (result.error != nullptr) refuse(*result.error, text, source);
  std::vector<RawStatement> statements;
  CharacterCount characters(text);
  for (int i = 0; i < result.n_stmts; ++i) {
    RawStatement raw = slice(text, static_cast<std::size_t>(result.stmts[i]->stmt_location),
                             static_cast<std::size_t>(result.stmts[i]->stmt_len), characters);
    if (!raw.text.empty()) statements.push_back(std::move(raw));
  }
  return statements;
}

}  // namespace lockkeeper::parse
