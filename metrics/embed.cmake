# Makes metrics/list.hpp from metrics.txt, at build time: a constant for each metric, and all of them in one array.
# cmake -DLIST=<metrics.txt> -DOUT=<dir> -P embed.cmake
cmake_policy(VERSION 3.25)
file(STRINGS ${LIST} lines REGEX "^[^#]")
set(items "")
set(symbols "")
set(index 0)
foreach(line IN LISTS lines)
  if(NOT line MATCHES "^([a-z_]+) \\| (counter|gauge|histogram) \\| ([a-z ]*)\\| (.*)$")
    message(FATAL_ERROR "metrics.txt: not name | type | labels | sentence: ${line}")
  endif()
  set(name ${CMAKE_MATCH_1})
  string(STRIP "${CMAKE_MATCH_3}" labels)
  string(APPEND items "    {\"${name}\", Kind::${CMAKE_MATCH_2}, \"${labels}\", \"${CMAKE_MATCH_4}\"},\n")
  string(REGEX REPLACE "^lockkeeper_" "" symbol ${name})
  string(APPEND symbols "inline constexpr Metric ${symbol}{${index}};\n")
  math(EXPR index "${index} + 1")
endforeach()
file(
  CONFIGURE
  OUTPUT
  ${OUT}/metrics/list.hpp
  CONTENT
  "#pragma once
// Made from metrics/metrics.txt by metrics/embed.cmake.
#include <array>
#include \"metrics/metric.hpp\"
namespace lockkeeper::metrics {
@symbols@inline constexpr std::array<Description, @index@> kAll = {{
@items@}};
}  // namespace lockkeeper::metrics
"
  @ONLY)
