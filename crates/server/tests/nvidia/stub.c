/* A driver for tests: enough of CUDA, NVRTC and NVENC that GStreamer's real nvcodec plugin registers its elements, sets them up and gets
   canned pictures back. It codes nothing; it writes down what it was asked for. Compiled once for each library with its part defined. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef CUDA
#include <ffnvcodec/dynlink_cuda.h>

static int current;

int cuInit(unsigned flags) { (void)flags; return 0; }
int cuDriverGetVersion(int *version) { *version = 12040; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int number) { *device = number; return 0; }
int cuDeviceGetName(char *name, int length, int device) { (void)device; snprintf(name, length, "Stub GPU"); return 0; }
/* Alignments, sizes of blocks, the architecture: one number that is possible for all. */
int cuDeviceGetAttribute(int *value, int attribute, int device) { (void)attribute; (void)device; *value = 8; return 0; }
int cuCtxCreate_v2(void **context, unsigned flags, int device) { (void)flags; (void)device; *context = &current; return 0; }
int cuCtxDestroy_v2(void *context) { (void)context; return 0; }
int cuCtxPushCurrent_v2(void *context) { (void)context; return 0; }
int cuCtxPopCurrent_v2(void **context) { if (context) *context = &current; return 0; }
int cuCtxEnablePeerAccess(void *peer, unsigned flags) { (void)peer; (void)flags; return 0; }
int cuCtxDisablePeerAccess(void *peer) { (void)peer; return 0; }
int cuDeviceCanAccessPeer(int *can, int device, int peer) { (void)device; (void)peer; *can = 0; return 0; }
int cuGetErrorName(int error, const char **text) { (void)error; *text = "STUB"; return 0; }
int cuGetErrorString(int error, const char **text) { (void)error; *text = "the stub has no such thing"; return 0; }
int cuModuleLoadData(void **module, const void *image) { (void)image; *module = &current; return 0; }
int cuModuleUnload(void *module) { (void)module; return 0; }
int cuModuleGetFunction(void **function, void *module, const char *name) { (void)module; (void)name; *function = &current; return 0; }
int cuLaunchKernel(void *function, ...) { (void)function; return 0; }
int cuStreamCreate(void **stream, unsigned flags) { (void)flags; *stream = &current; return 0; }
int cuStreamDestroy(void *stream) { (void)stream; return 0; }
int cuStreamDestroy_v2(void *stream) { (void)stream; return 0; }
int cuStreamSynchronize(void *stream) { (void)stream; return 0; }
int cuTexObjectCreate(unsigned long long *object, const void *a, const void *b, const void *c) {
  (void)a; (void)b; (void)c;
  *object = 1;
  return 0;
}
int cuTexObjectDestroy(unsigned long long object) { (void)object; return 0; }

/* The card's memory is the machine's. */
int cuMemAlloc_v2(CUdeviceptr *pointer, size_t bytes) { *pointer = (CUdeviceptr)calloc(1, bytes); return *pointer ? 0 : 2; }
int cuMemAllocPitch_v2(CUdeviceptr *pointer, size_t *pitch, size_t width, size_t height, unsigned element) {
  (void)element;
  *pitch = (width + 255) / 256 * 256;
  return cuMemAlloc_v2(pointer, *pitch * height);
}
int cuMemFree_v2(CUdeviceptr pointer) { free((void *)pointer); return 0; }
int cuMemAllocHost_v2(void **pointer, size_t bytes) { *pointer = calloc(1, bytes); return *pointer ? 0 : 2; }
int cuMemFreeHost(void *pointer) { free(pointer); return 0; }
int cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy) {
  const char *from = copy->srcMemoryType == CU_MEMORYTYPE_HOST ? copy->srcHost : (const char *)copy->srcDevice;
  char *to = copy->dstMemoryType == CU_MEMORYTYPE_HOST ? copy->dstHost : (char *)copy->dstDevice;
  for (size_t row = 0; row < copy->Height; row++)
    memcpy(to + (copy->dstY + row) * copy->dstPitch + copy->dstXInBytes, from + (copy->srcY + row) * copy->srcPitch + copy->srcXInBytes, copy->WidthInBytes);
  return 0;
}
int cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, void *stream) { (void)stream; return cuMemcpy2D_v2(copy); }

/* Looked for when the library is loaded, and never called without OpenGL. */
int cuGLGetDevices_v2(void) { return 1; }
int cuGraphicsGLRegisterBuffer(void) { return 1; }
int cuGraphicsGLRegisterImage(void) { return 1; }
int cuGraphicsMapResources(void) { return 1; }
int cuGraphicsUnmapResources(void) { return 1; }
int cuGraphicsUnregisterResource(void) { return 1; }
int cuGraphicsResourceSetMapFlags_v2(void) { return 1; }
int cuGraphicsResourceGetMappedPointer_v2(void) { return 1; }
int cuGraphicsSubResourceGetMappedArray(void) { return 1; }
#endif

#ifdef NVRTC
static int program;

int nvrtcCreateProgram(void **made, ...) { *made = &program; return 0; }
int nvrtcCompileProgram(void *made, int count, const char *const *options) { (void)made; (void)count; (void)options; return 0; }
int nvrtcDestroyProgram(void **made) { (void)made; return 0; }
int nvrtcGetPTXSize(void *made, size_t *bytes) { (void)made; *bytes = 2; return 0; }
int nvrtcGetPTX(void *made, char *text) { (void)made; memcpy(text, "x", 2); return 0; }
int nvrtcGetProgramLogSize(void *made, size_t *bytes) { (void)made; *bytes = 1; return 0; }
int nvrtcGetProgramLog(void *made, char *text) { (void)made; *text = 0; return 0; }
#endif

#ifdef NVENC
#include <ffnvcodec/nvEncodeAPI.h>
/* PARAMETER_SETS, IDR and P: whole access units that the test has written down. */
#include "pictures.h"

static int device;
typedef struct { int idr; uint64_t time, duration; } Bitstream;

/* One line for each thing that was asked for, in one piece: a worker writes no files, what it prints is the server's log. */
static void note(const char *format, ...) {
  char line[400];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  fprintf(stderr, "nvidia-stub: %s", line);
}

static NVENCSTATUS open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *parameters, void **encoder) {
  (void)parameters;
  *encoder = calloc(1, sizeof(int));
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS close_session(void *encoder) { free(encoder); return NV_ENC_SUCCESS; }

static NVENCSTATUS one(void *encoder, GUID codec, uint32_t *count) { (void)encoder; (void)codec; *count = 1; return NV_ENC_SUCCESS; }
static NVENCSTATUS codec_count(void *encoder, uint32_t *count) { (void)encoder; *count = 1; return NV_ENC_SUCCESS; }
static NVENCSTATUS codecs(void *encoder, GUID *guids, uint32_t size, uint32_t *count) {
  (void)encoder; (void)size;
  guids[0] = NV_ENC_CODEC_H264_GUID;
  *count = 1;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS profile_count(void *encoder, GUID codec, uint32_t *count) { (void)encoder; (void)codec; *count = 3; return NV_ENC_SUCCESS; }
static NVENCSTATUS profiles(void *encoder, GUID codec, GUID *guids, uint32_t size, uint32_t *count) {
  (void)encoder; (void)codec; (void)size;
  guids[0] = NV_ENC_H264_PROFILE_MAIN_GUID;
  guids[1] = NV_ENC_H264_PROFILE_HIGH_GUID;
  guids[2] = NV_ENC_H264_PROFILE_BASELINE_GUID;
  *count = 3;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS format_count(void *encoder, GUID codec, uint32_t *count) { return one(encoder, codec, count); }
static NVENCSTATUS formats(void *encoder, GUID codec, NV_ENC_BUFFER_FORMAT *list, uint32_t size, uint32_t *count) {
  (void)encoder; (void)codec; (void)size;
  list[0] = NV_ENC_BUFFER_FORMAT_NV12;
  *count = 1;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS capability(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *asked, int *value) {
  (void)encoder; (void)codec;
  switch (asked->capsToQuery) {
    case NV_ENC_CAPS_WIDTH_MAX: case NV_ENC_CAPS_HEIGHT_MAX: *value = 4096; break;
    case NV_ENC_CAPS_WIDTH_MIN: case NV_ENC_CAPS_HEIGHT_MIN: *value = 32; break;
    case NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES: *value = 0x3F; break;
    case NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE: *value = 1; break;
    default: *value = 0;
  }
  return NV_ENC_SUCCESS;
}

/* The presets of old: newer headers have them no more, GStreamer up to 1.24 asks for them. The fifth is low-latency-hq. */
static const GUID PRESETS[] = {
  { 0xb2dfb705, 0x4ebd, 0x4c49, { 0x9b, 0x5f, 0x24, 0xa7, 0x77, 0xd3, 0xe5, 0x87 } },
  { 0x60e4c59f, 0xe846, 0x4484, { 0xa5, 0x6d, 0xcd, 0x45, 0xbe, 0x9f, 0xdd, 0xf6 } },
  { 0x34dba71d, 0xa77b, 0x4b8f, { 0x9c, 0x3e, 0xb6, 0xd5, 0xda, 0x24, 0xc0, 0x12 } },
  { 0x49df21c5, 0x6dfa, 0x4feb, { 0x97, 0x87, 0x6a, 0xcc, 0x9e, 0xff, 0xb7, 0x26 } },
  { 0xc5f733b9, 0xea97, 0x4cf9, { 0xbe, 0xc2, 0xbf, 0x78, 0xa7, 0x4f, 0xd1, 0x5 } },
  { 0x67082a44, 0x4bad, 0x48fa, { 0x98, 0xea, 0x93, 0x5, 0x6d, 0x15, 0xa, 0x58 } },
  { 0xd5bfb716, 0xc604, 0x44e7, { 0x9b, 0xb8, 0xde, 0xa5, 0x51, 0xf, 0xc3, 0xac } },
};
enum { PRESET_COUNT = sizeof PRESETS / sizeof PRESETS[0], LOW_LATENCY_HQ = 4 };
static NVENCSTATUS preset_count(void *encoder, GUID codec, uint32_t *count) {
  (void)encoder; (void)codec;
  *count = PRESET_COUNT;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS presets(void *encoder, GUID codec, GUID *guids, uint32_t size, uint32_t *count) {
  (void)encoder; (void)codec;
  memcpy(guids, PRESETS, sizeof(GUID) * (size < PRESET_COUNT ? size : PRESET_COUNT));
  *count = PRESET_COUNT;
  return NV_ENC_SUCCESS;
}
static const char *preset_name(GUID preset) {
  return memcmp(&preset, &PRESETS[LOW_LATENCY_HQ], sizeof(GUID)) == 0 ? "low-latency-hq" : "another";
}
static NVENCSTATUS preset_config(void *encoder, GUID codec, GUID preset, NV_ENC_PRESET_CONFIG *config) {
  (void)encoder; (void)codec; (void)preset;
  config->presetCfg.gopLength = 30;
  config->presetCfg.frameIntervalP = 1;
  return NV_ENC_SUCCESS;
}

static NVENCSTATUS initialize(void *encoder, NV_ENC_INITIALIZE_PARAMS *asked) {
  (void)encoder;
  const NV_ENC_CONFIG *config = asked->encodeConfig;
  const NV_ENC_RC_PARAMS *rate = &config->rcParams;
  note("encode %ux%u preset=%s gop=%u interval_p=%d rc=%#x average=%u vbv=%u zero_reorder=%u aud=%u idr=%u\n", asked->encodeWidth,
       asked->encodeHeight, preset_name(asked->presetGUID), config->gopLength, config->frameIntervalP, rate->rateControlMode,
       rate->averageBitRate, rate->vbvBufferSize, rate->zeroReorderDelay, config->encodeCodecConfig.h264Config.outputAUD,
       config->encodeCodecConfig.h264Config.idrPeriod);
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS reconfigure(void *encoder, NV_ENC_RECONFIGURE_PARAMS *asked) { return initialize(encoder, &asked->reInitEncodeParams); }

static NVENCSTATUS sequence(void *encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD *payload) {
  (void)encoder;
  memcpy(payload->spsppsBuffer, PARAMETER_SETS, sizeof PARAMETER_SETS);
  *payload->outSPSPPSPayloadSize = sizeof PARAMETER_SETS;
  return NV_ENC_SUCCESS;
}

static NVENCSTATUS make_bitstream(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *made) {
  (void)encoder;
  made->bitstreamBuffer = calloc(1, sizeof(Bitstream));
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS drop_bitstream(void *encoder, NV_ENC_OUTPUT_PTR bitstream) { (void)encoder; free(bitstream); return NV_ENC_SUCCESS; }
static NVENCSTATUS register_resource(void *encoder, NV_ENC_REGISTER_RESOURCE *resource) {
  (void)encoder;
  resource->registeredResource = &device;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS map(void *encoder, NV_ENC_MAP_INPUT_RESOURCE *resource) {
  (void)encoder;
  resource->mappedResource = &device;
  resource->mappedBufferFmt = NV_ENC_BUFFER_FORMAT_NV12;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS let_go(void *encoder, void *what) { (void)encoder; (void)what; return NV_ENC_SUCCESS; }

static NVENCSTATUS encode(void *encoder, NV_ENC_PIC_PARAMS *picture) {
  int *begun = encoder;
  Bitstream *bitstream = picture->outputBitstream;
  if (!bitstream) return NV_ENC_SUCCESS;
  const char *broken = getenv("NVIDIA_STUB_BROKEN");
  if (broken && access(broken, F_OK) == 0) return NV_ENC_ERR_GENERIC;
  int forced = (picture->encodePicFlags & NV_ENC_PIC_FLAG_FORCEIDR) != 0;
  if (forced) note("forced\n");
  bitstream->idr = forced || !*begun;
  bitstream->time = picture->inputTimeStamp;
  bitstream->duration = picture->inputDuration;
  *begun = 1;
  return NV_ENC_SUCCESS;
}
static NVENCSTATUS lock(void *encoder, NV_ENC_LOCK_BITSTREAM *locked) {
  (void)encoder;
  const Bitstream *bitstream = locked->outputBitstream;
  locked->bitstreamBufferPtr = (void *)(bitstream->idr ? IDR : P);
  locked->bitstreamSizeInBytes = bitstream->idr ? sizeof IDR : sizeof P;
  locked->outputTimeStamp = bitstream->time;
  locked->outputDuration = bitstream->duration;
  locked->pictureType = bitstream->idr ? NV_ENC_PIC_TYPE_IDR : NV_ENC_PIC_TYPE_P;
  return NV_ENC_SUCCESS;
}
static const char *last_error(void *encoder) { (void)encoder; return "the stub has no such thing"; }

NVENCSTATUS NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) { *version = 12 << 4; return NV_ENC_SUCCESS; }
NVENCSTATUS NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *list) {
  list->nvEncOpenEncodeSessionEx = open_session;
  list->nvEncDestroyEncoder = close_session;
  list->nvEncGetEncodeGUIDCount = codec_count;
  list->nvEncGetEncodeGUIDs = codecs;
  list->nvEncGetEncodeProfileGUIDCount = profile_count;
  list->nvEncGetEncodeProfileGUIDs = profiles;
  list->nvEncGetInputFormatCount = format_count;
  list->nvEncGetInputFormats = formats;
  list->nvEncGetEncodeCaps = capability;
  list->nvEncGetEncodePresetCount = preset_count;
  list->nvEncGetEncodePresetGUIDs = presets;
  list->nvEncGetEncodePresetConfig = preset_config;
  list->nvEncInitializeEncoder = initialize;
  list->nvEncReconfigureEncoder = reconfigure;
  list->nvEncGetSequenceParams = sequence;
  list->nvEncCreateBitstreamBuffer = make_bitstream;
  list->nvEncDestroyBitstreamBuffer = drop_bitstream;
  list->nvEncRegisterResource = register_resource;
  list->nvEncUnregisterResource = let_go;
  list->nvEncMapInputResource = map;
  list->nvEncUnmapInputResource = let_go;
  list->nvEncEncodePicture = encode;
  list->nvEncLockBitstream = lock;
  list->nvEncUnlockBitstream = let_go;
  list->nvEncGetLastErrorString = last_error;
  return NV_ENC_SUCCESS;
}
#endif
