#include "pg/quote.hpp"

#include "base/error.hpp"

namespace lockkeeper::pg {
namespace {

std::string doubled(const std::string& text, char quote) {
  if (text.find('\0') != std::string::npos) throw InputError("a NUL byte cannot be in a name");
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || (c == '\\' && quote == '\'')) out += c;
    out += c;
  }
  return out + quote;
}

}  // namespace

std::string quote_ident(const std::string& name) { return doubled(name, '"'); }

std::string quote_literal(const std::string& value) {
  const bool escapes = value.find('\\') != std::string::npos;
  return (escapes ? "E" : "") + doubled(value, '\'');
}

}  // namespace lockkeeper::pg
