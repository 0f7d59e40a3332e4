/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every fuzz target defines: one run over one input. It must return 0, keep nothing between
 * runs, and abort() when a property does not hold.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
