// The colours that were chosen, before the page is painted: so, no module. Without a choice, the system's.
{
  const { dataset } = document.documentElement;
  dataset.theme = localStorage.getItem("mlguide-theme") ?? "";
  addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = dataset.theme;
    select.addEventListener("change", () => {
      dataset.theme = select.value;
      localStorage.setItem("mlguide-theme", select.value);
    });
  });
}
