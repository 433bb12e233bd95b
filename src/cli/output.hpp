#pragma once
// Tables, JSON and durations for people. Writes to standard output; one thread.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lockkeeper::cli {

using Json = nlohmann::ordered_json;

bool on_terminal();
/// Columns of the terminal; 0 when output goes elsewhere (then nothing is cut).
int terminal_width();
/// Lines of the terminal; 24 where that is not known.
int terminal_height();

/// Prints columns under their heads, two spaces between; the last column is cut to the terminal.
void print_table(const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows);
void print_json(const Json& json);

/// "0.4 ms", "1.25 s", "3 min 5 s".
std::string duration(double seconds);
/// "1.5 GB".
std::string bytes(std::int64_t count);
/// "orders, customers" from keys like relation:public.orders; schema public is left out.
std::string short_objects(const Json& objects);
/// The first line of a text, white space folded.
std::string one_line(const std::string& text);
std::string cut(const std::string& text, std::size_t width);
/// In characters.
std::size_t width_of(const std::string& text);
/// Text of a JSON value for a table: "" for null.
std::string cell(const Json& value);

/// An error as kept on a job, with the statement's line and a caret where the position is known.
/// `whole`: the job's statements, when it should be said which of them failed.
std::string pretty_error(const Json& error, const std::string& whole = {});

}  // namespace lockkeeper::cli
