/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device tells the machine besides the guest's own words: it was
 * broken by its driver, the host could not do its I/O, a cable was pulled.
 */
#ifndef AMBER_DEVICES_DEVICE_EVENT_H
#define AMBER_DEVICES_DEVICE_EVENT_H

#define DEVICE_ID_MAX	31  /* characters of a device's id */
#define DEVICE_TEXT_MAX 191 /* bytes of an event's text */

enum device_event_kind {
	DEVICE_BROKEN,	  /* needs a reset: what its driver did wrong */
	DEVICE_IO_ERROR,  /* the host failed; the VM is to pause */
	DEVICE_IO_STOP,	  /* the host failed; the VM is to be stopped */
	DEVICE_IO_FAILED, /* the host failed; the guest was told */
	DEVICE_LINK,	  /* a network link went up or down */
	DEVICE_BACKEND,	  /* a helper process or peer came or went */
};

/*
 * emit is called on any thread, with the device's lock held: it must copy,
 * not block and not call back. Both texts are borrowed for the call.
 */
struct device_event_sink {
	void (*emit)(void *ctx, enum device_event_kind kind, const char *device,
		     const char *text);
	void *ctx;
};

static inline void device_event(const struct device_event_sink *sink,
				enum device_event_kind kind, const char *device,
				const char *text)
{
	sink->emit(sink->ctx, kind, device, text);
}

#endif
