// Taking a photo with the camera.

const byId = (id) => document.getElementById(id);

/** Opens the camera; gives a photo as a Blob, or null if the dialog is closed. */
export async function takePhoto() {
  const dialog = byId('camera');
  const video = byId('video');
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: {facingMode: 'environment', width: {ideal: 4096}, height: {ideal: 4096}}});
  } catch {
    throw new Error('The camera could not be opened. Allow this page to use it, or choose a file.');
  }
  video.srcObject = stream;
  await video.play();
  dialog.showModal();
  try {
    const taken = await new Promise((resolve) => {
      byId('take').onclick = () => resolve(true);
      byId('close-camera').onclick = () => resolve(false);
      dialog.onclose = () => resolve(false);
    });
    if (!taken) return null;
    const canvas = Object.assign(document.createElement('canvas'),
      {width: video.videoWidth, height: video.videoHeight});
    canvas.getContext('2d').drawImage(video, 0, 0);
    return await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
  } finally {
    dialog.close();
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}
