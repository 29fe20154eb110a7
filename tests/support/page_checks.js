// What a person with a screen reader, a keyboard or weak sight would stumble over on this page, as a list of words.
() => {
  const found = [];
  const say = (problem, element) => found.push(`${problem}: ${element.outerHTML.slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) =>
    (element.getAttribute("aria-label") ?? "") +
    (element.getAttribute("aria-labelledby") ?? "")
      .split(" ")
      .filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent ?? "")
      .join(" ");

  if (document.documentElement.lang === "") found.push("no language");
  if (document.title === "") found.push("no title");
  if (all("h1").length !== 1) found.push("not one h1");
  if (all("main").length !== 1) found.push("not one main");
  for (const landmark of all("nav, section")) if (name(landmark).trim() === "") say("no name", landmark);
  for (const image of all("svg:not([aria-hidden]):not(svg svg)")) {
    if (image.getAttribute("role") !== "img" || name(image).trim() === "") say("no name", image);
  }
  for (const link of all("a")) if (link.textContent.trim() === "") say("no words", link);
  for (const table of all("table")) {
    if (table.querySelector("caption") === null) say("no caption", table);
    for (const head of table.querySelectorAll("th")) if (!head.hasAttribute("scope")) say("no scope", head);
    for (const row of table.querySelectorAll("tbody tr")) if (row.querySelector("th") === null) say("no head", row);
  }
  for (const element of all("[tabindex]")) if (element.tabIndex > 0) say("jumps the queue", element);
  const ids = all("[id]").map((element) => element.id);
  if (new Set(ids).size !== ids.length) found.push("an id twice");

  // Contrast, by the formula of WCAG 2.2: 4.5 to 1, for large texts 3 to 1.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1;
  };
  for (const element of all("body *")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
    if (!words || !seen(element) || ["TITLE", "DESC", "SCRIPT", "STYLE"].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element);
    const colour = channels(element instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const has = ratio(colour, ground(element));
    if (has < (large ? 3 : 4.5)) say(`contrast ${has.toFixed(2)}`, element);
  }
  for (const line of all(".course, .limit")) {
    const has = ratio(channels(getComputedStyle(line).stroke).slice(0, 3), ground(line.closest("section")));
    if (has < 3) say(`contrast ${has.toFixed(2)}`, line);
  }
  return found;
}
