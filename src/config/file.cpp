#include "config/file.hpp"

#include "base/error.hpp"

// What the library takes for impossible is possible in a broken file ("[[ ["). It looks in builds
// with assertions only: without them its own would be left out, and ours too.
namespace lockkeeper::config {
[[noreturn]] static void confused() { throw InputError("the file is no TOML that can be read"); }
}  // namespace lockkeeper::config
#define TOML_ASSERT(condition) \
  static_cast<void>((condition) ? void() : lockkeeper::config::confused())
#undef NDEBUG
// Without its own formatters it is quicker to compile.
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>

namespace lockkeeper::config {
namespace {

// Of a place in a text, in characters as toml++ counts them.
int position_of(const std::string& text, const toml::source_position& place) {
  std::size_t at = 0;
  for (toml::source_index line = 1; line < place.line && at < text.size(); ++line)
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  return characters(text, at) + static_cast<int>(place.column);
}

std::string blank(std::string text) {
  for (auto& c : text)
    if (c != '\n' && static_cast<unsigned char>(c) < 0x80) c = ' ';
  // Of a character of several bytes one is left: places are counted in characters.
  std::string out;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U)
      out += static_cast<unsigned char>(c) < 0x80 ? c : ' ';
  return out;
}

[[noreturn]] void refuse(const File& file, const std::string& message, int position) {
  Report report;
  report.message = message;
  report.position = position;
  throw InputError(report, file.layout, file.path);
}

std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* yes = node.as_boolean()) return yes->get() ? "true" : "false";
  if (const auto* number = node.as_floating_point()) {
    std::string text = std::to_string(number->get());
    text.erase(text.find_last_not_of('0') + 1);
    return text.back() == '.' ? text + "0" : text;
  }
  return std::nullopt;
}

}  // namespace

File read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw InputError("cannot read " + path + ": " + std::strerror(errno));
  std::string text;
  try {
    text.assign(std::istreambuf_iterator<char>(in), {});
  } catch (const std::ios_base::failure&) {  // a directory
    throw InputError("cannot read " + path + ": it is no file, or its disk fails");
  }
  return read_text(text, path);
}

File read_text(const std::string& text, const std::string& path) {
  File file;
  file.path = path;
  file.layout = blank(text);
  toml::table table;
  try {
    table = toml::parse(text, path);
  } catch (const toml::parse_error& error) {
    refuse(file, std::string(error.description()), position_of(text, error.source().begin));
  }
  for (const auto& [key, node] : table) {
    Entry entry{std::string(key.str()), {}, position_of(text, node.source().begin)};
    const auto take = [&](const toml::node& value) {
      const auto as_text = text_of(value);
      if (!as_text)
        refuse(file, "\"" + entry.key + "\" is to be a text, a number, true, false, or a list",
               position_of(text, value.source().begin));
      entry.values.push_back(*as_text);
    };
    if (const auto* list = node.as_array())
      for (const auto& value : *list) take(value);
    else
      take(node);
    file.entries.push_back(std::move(entry));
  }
  return file;
}

}  // namespace lockkeeper::config
