// The texts whose contrast with what is behind them is below that of WCAG 2.2, level AA, with their ratio.
const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
};
const luminance = ([red, green, blue]) => {
  const linear = [red, green, blue].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const background = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const color = rgba(getComputedStyle(one).backgroundColor);
    if (color[3] === 255) return color;
  }
  return rgba("white");
};
const isShown = (element) => element.getClientRects().length > 0;
const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const texts = [...document.querySelectorAll("body *")].filter((element) => isShown(element) && hasText(element));
const ratios = texts.map((element) => {
  const [darker, lighter] = [luminance(rgba(getComputedStyle(element).color)), luminance(background(element))].sort(
    (one, other) => one - other,
  );
  return [element.textContent.slice(0, 30), (lighter + 0.05) / (darker + 0.05)];
});
return { texts: ratios.length, low: ratios.filter(([, ratio]) => ratio < 4.5) };
