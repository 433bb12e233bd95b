#pragma once
// A file of settings, in TOML: the only user of toml++. Values; any thread.

#include <string>
#include <vector>

namespace lockkeeper::config {

/// A line `key = value` of a file; of an array, all values. Numbers and booleans as text.
struct Entry {
  std::string key;
  std::vector<std::string> values;
  int position = 0;  ///< of the value in the file's text: 1-based, in characters
};

struct File {
  std::string path;
  std::string layout;  ///< as long as the text, and blank: a message must not show a password
  std::vector<Entry> entries;
};

/// Reads `path`. Throws InputError, with the place, when it cannot be read, is no TOML, or holds
/// what is no setting: tables, dates, arrays in arrays.
File read_file(const std::string& path);
/// The same of what `path` holds.
File read_text(const std::string& text, const std::string& path);

}  // namespace lockkeeper::config
