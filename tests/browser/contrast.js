// Texts in *selector* whose contrast is below 4.5:1 (WCAG 2.2, success criterion 1.4.3): all that is
// seen, also on buttons that can't be pressed, and what an empty field says.
(selector) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, a / 255];
    };
    const over = (top, under) =>
        [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
    const ground = (node) => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            layers.unshift(getComputedStyle(at).backgroundColor);
        }
        return layers.reduce((under, layer) => over(rgba(layer), under), [255, 255, 255]);
    };
    const luminance = (c) => {
        const [r, g, b] = c.map((v) => v / 255).map((v) =>
            v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const weak = [];
    const look = (root, node, said, style, own = 1) => {
        if (!node.checkVisibility({ visibilityProperty: true }) || !said.trim()) return;
        let share = own;
        for (let at = node; at !== root; at = at.parentElement) {
            share *= getComputedStyle(at).opacity;
        }
        if (!share) return;
        const back = ground(node);
        const ink = rgba(node instanceof SVGElement ? style.fill : style.color);
        const front = over([...ink.slice(0, 3), ink[3] * share], back);
        const [a, b] = [luminance(front), luminance(back)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) weak.push(`${root.ariaLabel}: ${said} ${ratio.toFixed(2)}`);
    };
    for (const root of document.querySelectorAll(selector)) {
        const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const node = walk.currentNode.parentElement;
            look(root, node, walk.currentNode.data, getComputedStyle(node));
        }
        for (const field of root.querySelectorAll(":placeholder-shown")) {
            const style = getComputedStyle(field, "::placeholder");
            look(root, field, field.placeholder, style, style.opacity);
        }
    }
    return weak;
}
