#include "parse/statement.hpp"

namespace lockkeeper::parse {

std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += c;
    out += c;
  }
  return out + "\"";
}

std::string quoted_name(const ObjectRef& ref) {
  return (ref.schema.empty() ? "" : quoted(ref.schema) + ".") + quoted(ref.name);
}

}  // namespace lockkeeper::parse
