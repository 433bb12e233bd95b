#pragma once
// Structured log lines over spdlog: a message and fields, as text or as one JSON object a line.
// Goes to standard error. Any thread. Nothing is buffered across a crash.

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace lockkeeper::log {

enum class Level { debug, info, warning, error, off };
enum class Format { text, json };

/// Sets level and format for the process; before it, info and text hold.
void configure(Level level, Format format);

/// "debug", "info", "warning", "error", "off"; throws InputError on anything else.
Level level_from(const std::string& name);
Format format_from(const std::string& name);

using Field = std::pair<std::string_view, std::string>;

/// Writes one line: `message key=value key="two words"`, or the same as JSON.
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::debug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::info, m, f);
}
inline void warning(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::warning, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::error, m, f);
}

}  // namespace lockkeeper::log
