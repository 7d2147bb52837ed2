/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow2 format on disk: numbers of the specification (QEMU,
 * docs/interop/qcow2.rst; sections in brackets) and our limits. All fields
 * are big-endian. Private to disk/.
 */
#ifndef AMBER_DISK_QCOW2_SPEC_H
#define AMBER_DISK_QCOW2_SPEC_H

#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbU

/* [Header] */
#define QCOW2_AT_VERSION	  4
#define QCOW2_AT_BACKING_OFFSET	  8
#define QCOW2_AT_BACKING_BYTES	  16
#define QCOW2_AT_CLUSTER_BITS	  20
#define QCOW2_AT_SIZE		  24
#define QCOW2_AT_CRYPT		  32
#define QCOW2_AT_L1_ENTRIES	  36
#define QCOW2_AT_L1_OFFSET	  40
#define QCOW2_AT_RT_OFFSET	  48
#define QCOW2_AT_RT_CLUSTERS	  56
#define QCOW2_AT_SNAPSHOTS	  60
#define QCOW2_AT_SNAPSHOTS_OFFSET 64
#define QCOW2_V2_HEADER_BYTES	  72
#define QCOW2_AT_INCOMPATIBLE	  72
#define QCOW2_AT_COMPATIBLE	  80
#define QCOW2_AT_AUTOCLEAR	  88
#define QCOW2_AT_REFCOUNT_ORDER	  96
#define QCOW2_AT_HEADER_BYTES	  100
#define QCOW2_V3_HEADER_BYTES	  104
#define QCOW2_AT_COMPRESSION	  104
#define QCOW2_HEADER_BYTES	  112 /* what we write */

#define QCOW2_INCOMPAT_DIRTY	   (UINT64_C(1) << 0)
#define QCOW2_INCOMPAT_CORRUPT	   (UINT64_C(1) << 1)
#define QCOW2_INCOMPAT_DATA_FILE   (UINT64_C(1) << 2)
#define QCOW2_INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4)
#define QCOW2_COMPAT_LAZY	   (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_BITMAPS	   (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_RAW_DATA   (UINT64_C(1) << 1)

#define QCOW2_COMPRESSION_ZLIB 0
#define QCOW2_COMPRESSION_ZSTD 1

/* [Header extensions] */
#define QCOW2_EXT_END	    0x00000000U
#define QCOW2_EXT_FORMAT    0xe2792acaU
#define QCOW2_EXT_FEATURES  0x6803f857U
#define QCOW2_EXT_BITMAPS   0x23852875U
#define QCOW2_EXT_CRYPT	    0x0537be77U
#define QCOW2_EXT_DATA_FILE 0x44415441U

/* [Cluster mapping] of L1, L2 and refcount table entries */
#define QCOW2_COPIED	  (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED  (UINT64_C(1) << 62)
#define QCOW2_ZERO	  (UINT64_C(1) << 0)
#define QCOW2_OFFSET	  UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)
#define QCOW2_RT_RESERVED UINT64_C(0x00000000000001ff)
#define QCOW2_SUBCLUSTERS 32

/* Limits: QEMU's, where it has them. */
#define QCOW2_CLUSTER_BITS_MIN	 9
#define QCOW2_CLUSTER_BITS_MAX	 21
#define QCOW2_EXTENDED_BITS_MIN	 14
#define QCOW2_REFCOUNT_ORDER_MAX 6
#define QCOW2_L1_BYTES_MAX	 (32U << 20)
#define QCOW2_RT_BYTES_MAX	 (8U << 20)
#define QCOW2_BACKING_MAX	 1023
#define QCOW2_SNAPSHOTS_MAX	 65536
#define QCOW2_SNAPSHOTS_BYTES	 (64U << 20)
#define QCOW2_BITMAPS_MAX	 65535
#define QCOW2_BITMAPS_BYTES	 (64U << 20)
#define QCOW2_HEADER_BYTES_MAX	 4096
#define QCOW2_EXTENSIONS_MAX	 64
#define QCOW2_FILE_BYTES_MAX	 (UINT64_C(1) << 56)

#endif
