// SPDX-License-Identifier: Apache-2.0
// The format of descriptors, as the placement protocol wants to know it (exchange/extent_format.h).
//
// Layer: files.  Thread: loop thread only.  Spec: docs/protocols/files.md, sections "Descriptor" and "Slots".
#pragma once

#include "exchange/extent_format.h"

/** How to read the descriptors of docs/protocols/files.md. */
extern const pg_extent_format pg_files_extent_format;
