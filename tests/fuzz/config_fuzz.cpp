// Any text at all as a file of settings: it is read, or refused with a place, and the message never
// shows what stands there (it may be a password).
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "base/error.hpp"
#include "config/file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string data_text(reinterpret_cast<const char*>(data), size);
  // A value that is told is a password that is told; names of settings are told.
  const bool secret = data_text.find("hunter2") == std::string::npos;
  const std::string text = (secret ? "dsn = \"hunter2" : "") + data_text;
  try {
    const auto file = lockkeeper::config::read_text(text, "lockkeeper.toml");
    for (const auto& entry : file.entries)
      if (entry.position < 1) std::abort();
  } catch (const lockkeeper::InputError& error) {
    if (error.report().position < 0 || error.pretty().empty()) std::abort();
    if (secret && error.pretty().find("hunter2") != std::string::npos) {
      std::cerr << error.pretty() << std::endl;
      std::abort();
    }
  }
  return 0;
}
