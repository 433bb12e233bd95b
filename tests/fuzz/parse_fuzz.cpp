// Any text at all: it is refused with a place inside of it (promise 13), or each statement is a
// piece of it, at the place that is told, and can be parsed again by itself.
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "base/error.hpp"
#include "parse/parser.hpp"
#include "parse/rewrite.hpp"

namespace {

using lockkeeper::InputError;

[[noreturn]] void found(const std::string& what, const std::string& text) {
  std::cerr << what << ":\n" << text << std::endl;
  std::abort();
}

// Of an error, what is told must be in the text: pretty() makes an excerpt with a caret.
void read_error(const InputError& error) {
  const int position = error.report().position;
  if (position < 0) found("a place before the text", error.pretty());
  if (error.pretty().empty()) found("an error that says nothing", "");
}

void read_unit(const lockkeeper::parse::Unit& unit, const std::string& text) {
  for (const auto& statement : unit.statements) {
    if (text.find(statement.text) == std::string::npos) found("not in the text", statement.text);
    if (statement.position < 1) found("no place", statement.text);
  }
  if (unit.statements.size() != 1 || unit.unparsed) return;
  const auto& alone = unit.statements.front().text;
  if (lockkeeper::parse::statements_or_none(alone).size() != 1) found("not parsed again", alone);
  if (unit.action == "add index") lockkeeper::parse::index_signature(alone);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& unit : lockkeeper::parse::parse_file(text)) read_unit(unit, text);
  } catch (const InputError& error) {
    read_error(error);
  }
  try {
    lockkeeper::parse::parse_one(text);
  } catch (const InputError& error) {
    read_error(error);
  }
  return 0;
}
