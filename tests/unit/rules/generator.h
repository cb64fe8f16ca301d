/*
 * generator.h - random programs of the language: right in every word, wild in their layout.
 *
 * Made of the same .def tables that the parser reads by, so a new row is generated without a line here. The parser
 * takes them without an error; names are not defined and types not kept, so check would not. One seed, one text.
 */
#ifndef GENERATOR_H
#define GENERATOR_H

#include "base/buf.h"

/* False: the buffer is full. */
MUST_USE bool generate_program(uint64_t seed, struct buf *to);

#endif
